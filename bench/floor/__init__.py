"""The floor: the least that any implementation on this stack must do for an order, and for a product.

Two hops, each token checked once; store the order, take the stock in a transaction, confirm; publish with a confirm;
note what is being sent, and that it was. Nothing is checked or repaired, and a crash loses what waits to be published.
"""
