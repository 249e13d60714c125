"""The bare writes of an order. A shop that keeps its promises may do more, none less."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

ORDER = {"status": "pending", "user": {"id": "u" * 32, "email": "customer@example.com"}, "fingerprint": "f" * 64}
LINE = {"product_id": "p" * 32, "name": "a product", "unit_price": 1990, "quantity": 1}
EVENT = {"type": "order_created", "data": {"user": ORDER["user"], "lines": [LINE], "total": 1990, "currency": "EUR"}}


class Operations:
    """The bare writes, each as durable as the URL of the database says."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._client = database.client
        self._orders = database.orders
        self._products = database.products
        self._reservations = database.reservations
        self._notifications = database.notifications

    def open(self, order_id: str) -> None:
        """Store a pending order."""
        self._orders.insert_one({**ORDER, "_id": order_id, "created_at": datetime.now(UTC)})

    def take(self, order_id: str, product_id: str) -> None:
        """Take one unit of a product, and record it, in one transaction."""

        def work(session: ClientSession) -> None:
            enough = {"_id": product_id, "stock": {"$gte": 1}}
            self._products.update_one(enough, {"$inc": {"stock": -1}}, session=session)
            self._reservations.insert_one({"_id": order_id, "lines": [LINE]}, session=session)

        with self._client.start_session() as session:
            session.with_transaction(work)

    def confirm(self, order_id: str) -> None:
        """Confirm an order, with its event."""
        outbox = [{**EVENT, "id": order_id}]
        change = {"status": "confirmed", "lines": [LINE], "outbox": outbox, "updated_at": datetime.now(UTC)}
        self._orders.update_one({"_id": order_id, "status": "pending"}, {"$set": change})

    def published(self, order_ids: Sequence[str]) -> None:
        """Empty the outboxes of orders."""
        self._orders.update_many({"_id": {"$in": order_ids}}, {"$set": {"outbox": []}})

    def claim(self, order_id: str) -> None:
        """Store the notification of an order as one that is being sent."""
        sending = {"_id": order_id, "order_id": order_id, "status": "sending", "body": "x" * 200}
        self._notifications.insert_one({**sending, "created_at": datetime.now(UTC)})

    def sent(self, order_id: str) -> None:
        """Note that a notification was sent."""
        self._notifications.update_one({"_id": order_id}, {"$set": {"status": "sent"}})
