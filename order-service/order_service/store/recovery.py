"""Orders as the recovery after a restore reads and repairs them: their outboxes, and what the worker must know."""

from collections.abc import Sequence

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.operations import UpdateOne
from pymongo.read_concern import ReadConcern

from chassis.mongo import DatabaseClock, Document, retry_and_translate
from order_service.model import CONFIRMED, FAILED, Order
from order_service.payment.model import OPEN_PAYMENT
from order_service.store.documents import to_order

PAGE = 1000  # orders; each is a few kilobytes


@retry_and_translate
class RecoveryStore:
    """All orders, page by page, their outboxes, and the notes of lost orders."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._orders = database.orders.with_options(read_concern=ReadConcern("majority"))
        self._clock = clock

    def page(self, after: str) -> list[Order]:
        """Return the orders whose ids follow this one, some of them; none at the end."""
        following = self._orders.find({"_id": {"$gt": after}}).sort("_id", ASCENDING).limit(PAGE)
        return [to_order(document) for document in following]

    def replace_outboxes(self, orders: Sequence[Order]) -> None:
        """Give orders the outboxes that these have, to be published now, unless an order has changed since it was read.

        Each event is added in one write with a change of the order, so none is lost, and one may be published twice.
        """
        now = self._clock()
        changes = [
            UpdateOne(
                {"_id": order.id, "updated_at": order.updated_at},
                {"$set": {"outbox": list(order.outbox), "due": now}},
            )
            for order in orders
        ]
        if changes:
            self._orders.bulk_write(changes, ordered=False)

    def keep_from_expiry(self, order_ids: Sequence[str]) -> None:
        """Let unpaid orders wait for a person for as long as it takes. An open payment is still settled."""
        unpaid = {"_id": {"$in": list(order_ids)}, "status": CONFIRMED, "payment.status": {"$nin": OPEN_PAYMENT}}
        self._orders.update_many(unpaid, {"$unset": {"pay_by": "", "payment_due": ""}})

    def save_reference(self, order_id: str, attempt: int, reference: str) -> None:
        """Store the provider's id of an open attempt that has none: without it the worker would not ask about it."""
        is_open = {"payment.attempt": attempt, "payment.status": {"$in": OPEN_PAYMENT}, "payment.reference": None}
        self._orders.update_one({"_id": order_id, **is_open}, {"$set": {"payment.reference": reference}})

    def note_lost(self, order_id: str, note: str) -> None:
        """Write a note on a failed order: it was confirmed once, and the restored orders lack it."""
        self._orders.update_one({"_id": order_id, "status": FAILED}, {"$set": {"note": note}})

    def lost_orders(self) -> list[Order]:
        """Return the failed orders that have a note, in the order of their ids."""
        lost = self._orders.find({"status": FAILED, "note": {"$exists": True}}).sort("_id", ASCENDING)
        return [to_order(document) for document in lost]
