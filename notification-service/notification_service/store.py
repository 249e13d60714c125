"""The history of notifications in MongoDB: one document per event and channel.

Its status goes `pending -> sending -> sent | failed`. Each change is a compare-and-set and idempotent. A consumer holds
a claim while it sends; the claim ends with its lease, by the database's clock. A notification is inserted with a claim,
and becomes `pending` when that claim is released. Every unsent notification has a `lease_until`. It is in the past
if no consumer holds a claim, so one comparison finds the free notifications.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from pymongo.database import Database
from pymongo.errors import BulkWriteError

from chassis.mongo import DUPLICATE_KEY, DatabaseClock, Document, retry_and_translate
from notification_service.model import FAILED, NOT_STORED, PENDING, SENDING, SENT, Notification

NO_LEASE = datetime(1970, 1, 1, tzinfo=UTC)


@retry_and_translate
class NotificationStore:
    """Writes the notifications of the consumer, one step at a time. `lease` is in seconds."""

    def __init__(self, database: Database[Document], clock: DatabaseClock, *, lease: float = 60.0) -> None:
        self._notifications = database.notifications
        self._clock = clock
        self._lease = timedelta(seconds=lease)

    def add(self, notifications: Sequence[Notification], claim: str) -> set[str]:
        """Insert notifications with a claim; return the ids of those that exist already, which do not change."""
        now = self._clock()
        state = {"attempts": 1, "error": None, "created_at": now, **self._claimed(claim, now)}
        documents = [{"_id": notification.id, **vars(notification), **state} for notification in notifications]
        for document in documents:
            for name in NOT_STORED:
                del document[name]
        try:
            self._notifications.insert_many(documents, ordered=False)
        except BulkWriteError as exc:
            errors = exc.details["writeErrors"]
            if exc.details.get("writeConcernErrors") or any(error["code"] != DUPLICATE_KEY for error in errors):
                raise
            return {notifications[error["index"]].id for error in errors}
        return set()

    def claim(self, notification_id: str, claim: str) -> bool:
        """Claim a notification for a lease; return False if it is sent, or another consumer holds a claim."""
        now = self._clock()
        free = {"_id": notification_id, "lease_until": {"$lte": now}}
        change = {"$set": self._claimed(claim, now), "$inc": {"attempts": 1}}
        if self._notifications.update_one(free, change).matched_count:
            return True
        # Or a first run of this call has claimed it, and its reply was lost.
        return self._notifications.find_one(_held(notification_id, claim), {"_id": True}) is not None

    def _claimed(self, claim: str, now: datetime) -> Document:
        return {"status": SENDING, "claim": claim, "lease_until": now + self._lease}

    def sent_among(self, ids: Collection[str]) -> set[str]:
        """Return the ids of the notifications that are sent."""
        return self._among(ids, SENT)

    def failed_among(self, ids: Collection[str]) -> set[str]:
        """Return the ids of the notifications that have failed."""
        return self._among(ids, FAILED)

    def _among(self, ids: Collection[str], status: str) -> set[str]:
        found = self._notifications.find({"_id": {"$in": list(ids)}, "status": status}, {"_id": True})
        return {document["_id"] for document in found}

    def mark_sent(self, ids: Collection[str]) -> None:
        """Mark notifications as sent, even if another consumer holds the claims by now: sent is sent."""
        change = {"$set": {"status": SENT, "error": None}, "$unset": {"claim": "", "lease_until": ""}}
        self._notifications.update_many({"_id": {"$in": list(ids)}}, change)

    def note_record_only(self, ids: Collection[str]) -> None:
        """Note that these notifications are about to be marked as sent, and nothing is sent: their buyers had them."""
        self._notifications.update_many({"_id": {"$in": list(ids)}}, {"$set": {"record_only": True}})

    def release_claims(self, ids: Collection[str], claim: str) -> None:
        """End claims before their leases end: nothing was sent."""
        change = {"$set": {"status": PENDING, "lease_until": NO_LEASE}, "$unset": {"claim": ""}}
        self._notifications.update_many(_held({"$in": list(ids)}, claim), change)

    def mark_failed(self, notification_id: str, claim: str, error: str) -> None:
        """Mark a notification as failed, with the reason, unless another consumer has claimed it since."""
        change = {"$set": {"status": FAILED, "error": error, "lease_until": NO_LEASE}, "$unset": {"claim": ""}}
        self._notifications.update_one(_held(notification_id, claim), change)


def _held(notification_id: object, claim: str) -> Document:
    """Return the filter for notifications that are being sent under a claim."""
    return {"_id": notification_id, "status": SENDING, "claim": claim}
