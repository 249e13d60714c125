"""The order flow that most people write, to compare with. It keeps none of the shop's promises.

Two buyers may get the same last item, a crash loses the event or the stock, a repeat orders twice. The libraries,
gunicorn's settings, the database, the broker and the access tokens are the same as the shop's.
"""
