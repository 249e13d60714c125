"""MongoDB of notification-service: one document per event and channel, each change a compare-and-set, safe to repeat.

`pending -> sending -> sent | failed`. Who sends holds a claim, which ends with its lease, by the database's clock. A
notification is inserted with one; `pending` is one whose claim was given back. What is not sent always has a
`lease_until`, long past where nobody has a claim: one comparison tells whether it is free.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.operations import IndexModel

from chassis.mongo import ASCENDING, DESCENDING, DUPLICATE_KEY, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from notification_service.model import FAILED, PENDING, SENDING, SENT, Notification, Recorded

NO_LEASE = datetime(1970, 1, 1, tzinfo=UTC)

_NEWEST_FIRST: list[tuple[str, int, type]] = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]


@retry_and_translate
class NotificationStore:
    """The history of notifications, for the web service and the consumer. `lease` is in seconds."""

    def __init__(self, database: Database[Document], clock: DatabaseClock, *, lease: float = 60.0) -> None:
        self._database = database
        self._notifications = database.notifications
        self._clock = clock
        self._lease = timedelta(seconds=lease)

    def prepare(self) -> None:
        """Make the indexes."""
        newest = [(field, way) for field, way, _ in _NEWEST_FIRST]
        self._notifications.create_indexes([IndexModel(newest), IndexModel([("user_id", ASCENDING), *newest])])

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._notifications.find_one({"_id": ""})

    def page(self, user_id: str | None, *, limit: int, cursor: str | None) -> Page[Recorded]:
        """Return a page of a user's notifications, or of everybody's, newest first."""
        conditions = {} if user_id is None else {"user_id": user_id}
        page = find_page(self._notifications, conditions, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page([_recorded(document) for document in page.items], page.next_cursor)

    def audit_records(self) -> list[Document]:
        """Return what an audit compares: every notification's event, channel, state and age (s), and whose it is."""
        names = ("event_id", "channel", "status", "order_id", "user_id")
        now = self._clock()
        return [
            {"kind": "notification", "id": document["_id"], **{name: document[name] for name in names}}
            | {"age": (now - document["created_at"]).total_seconds()}
            for document in self._notifications.find({}, dict.fromkeys((*names, "created_at"), True))
        ]

    def add(self, notifications: Sequence[Notification], claim: str) -> set[str]:
        """Insert notifications, claimed; return the ids of those that were there already, which stay as they are."""
        now = self._clock()
        state = {"attempts": 1, "error": None, "created_at": now, **self._claimed(claim, now)}
        documents = [{"_id": notification.id, **vars(notification), **state} for notification in notifications]
        try:
            self._notifications.insert_many(documents, ordered=False)
        except BulkWriteError as exc:
            errors = exc.details["writeErrors"]
            if exc.details.get("writeConcernErrors") or any(error["code"] != DUPLICATE_KEY for error in errors):
                raise
            return {notifications[error["index"]].id for error in errors}
        return set()

    def claim(self, notification_id: str, claim: str) -> bool:
        """Take a notification that is not sent, for the time of the lease; False if it is sent or another has it."""
        now = self._clock()
        free = {"_id": notification_id, "lease_until": {"$lte": now}}
        change = {"$set": self._claimed(claim, now), "$inc": {"attempts": 1}}
        if self._notifications.update_one(free, change).matched_count:
            return True
        ours = {"_id": notification_id, "status": SENDING, "claim": claim}  # the reply to a first run was lost
        return self._notifications.find_one(ours, {"_id": True}) is not None

    def _claimed(self, claim: str, now: datetime) -> Document:
        return {"status": SENDING, "claim": claim, "lease_until": now + self._lease}

    def sent_among(self, ids: Collection[str]) -> set[str]:
        """Return which notifications were sent."""
        found = self._notifications.find({"_id": {"$in": list(ids)}, "status": SENT}, {"_id": True})
        return {document["_id"] for document in found}

    def mark_sent(self, ids: Collection[str]) -> None:
        """Note that notifications were sent. That is a fact, whoever has the claims now."""
        known: Document = {"status": SENT, "error": None}
        over = {"claim": "", "lease_until": ""}
        self._notifications.update_many({"_id": {"$in": list(ids)}}, {"$set": known, "$unset": over})

    def give_back(self, ids: Collection[str], claim: str) -> None:
        """End claims before their lease does: nothing was sent."""
        ours = {"_id": {"$in": list(ids)}, "status": SENDING, "claim": claim}
        free = {"status": PENDING, "lease_until": NO_LEASE}
        self._notifications.update_many(ours, {"$set": free, "$unset": {"claim": ""}})

    def mark_failed(self, notification_id: str, claim: str, error: str) -> None:
        """Note why a notification was not sent, unless another one has claimed it since."""
        ours = {"_id": notification_id, "status": SENDING, "claim": claim}
        known = {"status": FAILED, "error": error, "lease_until": NO_LEASE}
        self._notifications.update_one(ours, {"$set": known, "$unset": {"claim": ""}})


def _recorded(document: Document) -> Recorded:
    return Recorded(id=document["_id"], **{name: document[name] for name in _SHOWN})


_SHOWN = [name for name in Recorded.__dataclass_fields__ if name != "id"]
