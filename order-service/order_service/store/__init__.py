"""MongoDB of order-service: one document per order, which also holds its outbox and its due work.

An order is created once, when its outcome is known; every later change is a compare-and-set in one write. Every method
is safe to run twice. `due` and `release` are times, present only while the worker has something to do: `due` to publish
the outbox, `release` to release the stock. They are separate, so that events never wait for product-service.

Orders are read with read concern majority: nobody may act on a write that a new primary could roll back.
"""

from order_service.store.cursor import ReconciliationCursor
from order_service.store.orders import OrderStore
from order_service.store.outbox import Outbox

__all__ = ["OrderStore", "Outbox", "ReconciliationCursor"]
