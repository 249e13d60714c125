"""The outbox: events that wait in their order's document until the broker has confirmed them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.operations import UpdateOne
from pymongo.read_concern import ReadConcern

from chassis.mongo import DatabaseClock, Document, retry_and_translate
from chassis.schemas import read_time
from order_service.model import IdRange, Order
from order_service.store.documents import to_order
from order_service.store.indexes import ANY_TIME, MAX_COUNT, find_due

SAMPLE = 1000  # orders that are read to find the oldest event


@retry_and_translate
class Outbox:
    """The outboxes of all orders, for the outbox relay."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._orders = database.orders.with_options(read_concern=ReadConcern("majority"))
        self._clock = clock

    def due_orders(self, ids: IdRange, limit: int) -> list[Order]:
        """Return orders whose outbox is due now."""
        return [to_order(document) for document in find_due(self._orders, "due", self._clock(), ids).limit(limit)]

    def waiting(self) -> tuple[int, datetime | None]:
        """Return how many orders have events that wait, and the time of the oldest event; None if none waits.

        Delayed events wait, too. Of more orders than a sample, the oldest event is that of the sample.
        """
        found = list(self._orders.find({"due": ANY_TIME}, {"outbox.time": True}).limit(SAMPLE))
        outboxes = [document["outbox"] for document in found if document.get("outbox")]
        is_sample = len(found) == SAMPLE
        number = self._orders.count_documents({"due": ANY_TIME}, limit=MAX_COUNT) if is_sample else len(outboxes)
        times = filter(None, (read_time(outbox[0].get("time")) for outbox in outboxes))
        return number, min(times, default=None)

    def mark_published(self, orders: Sequence[Order]) -> None:
        """Remove the events of these orders from their outboxes: the broker has confirmed them.

        An event that was added since the read stays. Most outboxes have one event; one write empties all of these.
        """
        event_ids = {order.id: [event["id"] for event in order.outbox] for order in orders}
        with_one_event = {
            "_id": {"$in": [order_id for order_id, ids in event_ids.items() if len(ids) == 1]},
            "outbox": {"$size": 1},
            "outbox.id": {"$in": [event_id for ids in event_ids.values() for event_id in ids]},
        }
        change = {"$set": {"outbox": []}, "$unset": {"due": ""}}
        if self._orders.update_many(with_one_event, change).matched_count < len(orders):
            pulls = [
                UpdateOne({"_id": order_id}, {"$pull": {"outbox": {"id": {"$in": ids}}}})
                for order_id, ids in event_ids.items()
            ]
            self._orders.bulk_write(pulls, ordered=False)

    def clear_due(self, order_id: str) -> None:
        """Note that an order has nothing to publish, unless an event was added meanwhile."""
        self._orders.update_one({"_id": order_id, "outbox.0": {"$exists": False}}, {"$unset": {"due": ""}})

    def delay(self, order_ids: list[str], seconds: float) -> None:
        """Delay the events of these orders."""
        later = {"due": self._clock() + timedelta(seconds=seconds)}
        self._orders.update_many({"_id": {"$in": order_ids}, "due": {"$exists": True}}, {"$set": later})
