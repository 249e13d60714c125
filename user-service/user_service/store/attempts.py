"""Attempts in MongoDB: one document per key with the times of the latest attempts, newest first.

A document expires when no limit needs it any more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import Document, retry_and_translate
from user_service.model import Attempts


@retry_and_translate
class AttemptStore:
    """Attempts to sign in, register and refresh."""

    def __init__(self, database: Database[Document]) -> None:
        self._attempts = database.attempts

    def find(self, keys: Sequence[str]) -> list[Attempts]:
        """Return the attempts under each of the keys, in one query."""
        documents = {document["_id"]: document for document in self._attempts.find({"_id": {"$in": list(keys)}})}
        in_order = [documents.get(key, {}) for key in keys]
        return [Attempts(tuple(document.get("times", ())), document.get("trusted_until")) for document in in_order]

    def add(self, key: str, now: datetime, *, keep: int, lifetime: timedelta) -> None:
        """Add an attempt. Counting it twice does no harm."""
        self._upsert(key, _push(now, keep, now + lifetime))

    def claim(self, key: str, count: int, now: datetime, window: timedelta) -> bool:
        """Add an attempt unless there were `count` within the window. The check is part of the update."""
        nth_latest = f"times.{count - 1}"
        free = {"_id": key, "$or": [{nth_latest: {"$exists": False}}, {nth_latest: {"$lte": now - window}}]}
        for _ in range(2):
            try:
                self._attempts.update_one(free, _push(now, count, now + window), upsert=True)
            except DuplicateKeyError:  # no place is free, or another process has just inserted: try again to find out
                continue
            return True
        return False

    def trust(self, key: str, until: datetime) -> None:
        """Forget the attempts under a key, and trust the key until a time."""
        self._upsert(key, {"$set": {"times": [], "trusted_until": until}, "$max": {"expires_at": until}})

    def _upsert(self, key: str, change: Document) -> None:
        try:
            self._attempts.update_one({"_id": key}, change, upsert=True)
        except DuplicateKeyError:  # another process has just inserted the document
            self._attempts.update_one({"_id": key}, change)


def _push(now: datetime, keep: int, expires_at: datetime) -> Document:
    newest_first = {"$each": [now], "$position": 0, "$slice": keep}
    return {"$push": {"times": newest_first}, "$max": {"expires_at": expires_at}}
