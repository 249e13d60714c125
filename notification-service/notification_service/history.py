"""The history of notifications, as the web service and the audit read it; `store` is the consumer's part."""

from dataclasses import fields
from typing import TYPE_CHECKING

from chassis.mongo import ASCENDING, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from notification_service import indexes
from notification_service.model import NOT_STORED, NotificationRecord

if TYPE_CHECKING:
    from pymongo.database import Database

_RECORD_FIELDS = [field.name for field in fields(NotificationRecord) if field.name not in NOT_STORED]
_AUDIT_FIELDS = ("event_id", "channel", "status", "order_id", "user_id")


@retry_and_translate
class NotificationHistory:
    """Reads notifications, and writes nothing but indexes."""

    def __init__(self, database: "Database[Document]") -> None:
        self._database = database
        self._notifications = database.notifications

    def ensure_indexes(self) -> None:
        """Create the indexes that are missing."""
        indexes.ensure_indexes(self._notifications)

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._notifications.find_one({"_id": ""})

    def page(
        self, user_id: str | None, order_id: str | None = None, *, limit: int, cursor: str | None
    ) -> Page[NotificationRecord]:
        """Return a page of notifications, newest first: of a user, of an order; None for all. Raises Invalid."""
        conditions = {} if order_id is None else _of_order(order_id)
        if user_id is not None:
            conditions["user_id"] = user_id
        page = find_page(self._notifications, conditions, indexes.NEWEST_FIRST, limit=limit, cursor=cursor)
        records = [NotificationRecord(**{name: document[name] for name in _RECORD_FIELDS}) for document in page.items]
        return Page(records, page.next_cursor)

    def audit_records(self) -> list[Document]:
        """Return each notification's event, channel, status, order, user and age (s)."""
        now = DatabaseClock(self._database)()
        return [
            {"kind": "notification", "id": document["_id"], "age": (now - document["created_at"]).total_seconds()}
            | {name: document[name] for name in _AUDIT_FIELDS}
            for document in self._notifications.find({}, (*_AUDIT_FIELDS, "created_at"))
        ]

    def order_records(self, order_id: str) -> list[Document]:
        """Return all notifications of an order as they are stored, oldest first."""
        stored = self._notifications.find(_of_order(order_id)).sort("created_at", ASCENDING)
        return [{"kind": "notification_document", **document} for document in stored]


def _of_order(order_id: str) -> Document:
    """Return the filter for the notifications of an order, which needs no other index than that of the ids."""
    ids = {"$gte": f"{order_id}.", "$lt": f"{order_id}/"}  # they begin with the order's id and a dot; "/" is next
    return {"_id": ids, "order_id": order_id}
