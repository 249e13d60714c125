"""MongoDB of order-service: one document per order, which also holds its outbox and its due work.

An order is created once, when its outcome is known; every later change is a compare-and-set in one write. Every method
is safe to run twice. `due`, `release` and `payment_due` are times, present only while the worker has something to do:
to publish the outbox, to release the stock, to settle, refund or expire the payment. They are separate, so that events
never wait for product-service or the payment provider. A failed attempt moves them; `payment.failing_since` stays.

Orders are read with read concern majority: nobody may act on a write that a new primary could roll back.
"""

from order_service.store.cursor import ReconciliationCursor
from order_service.store.leases import WorkerLeases
from order_service.store.ledger import PaymentLedger
from order_service.store.orders import OrderStore
from order_service.store.outbox import Outbox
from order_service.store.payments import PaymentStore
from order_service.store.recovery import RecoveryStore

__all__ = [
    "OrderStore",
    "Outbox",
    "PaymentLedger",
    "PaymentStore",
    "ReconciliationCursor",
    "RecoveryStore",
    "WorkerLeases",
]
