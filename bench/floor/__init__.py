"""The floor: the least that an implementation with the shop's promises must do for an order, and for a product.

Two hops, each token checked once; stock and reservation in one transaction, the order with its outbox, a publish with a
confirm, a claim and a mark for the notification. Nothing is validated, logged or repaired.
"""
