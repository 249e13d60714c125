"""Attempts in MongoDB: one document per key with the times of the latest ones, newest first.

A document vanishes by itself when it has nothing more to say.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import Document, retry_and_translate
from user_service.throttle import Attempts


@retry_and_translate
class AttemptStore:
    """Attempts to sign in, register and refresh."""

    def __init__(self, database: Database[Document]) -> None:
        self._attempts = database.attempts

    def find(self, keys: Sequence[str]) -> dict[str, Attempts]:
        """Return what is known under the keys, in one query."""
        documents = self._attempts.find({"_id": {"$in": list(keys)}})
        return {d["_id"]: Attempts(tuple(d.get("times", ())), d.get("trusted_until")) for d in documents}

    def add(self, key: str, now: datetime, *, keep: int, life: timedelta) -> None:
        """Add an attempt; counting one twice does no harm."""
        change = _push(now, keep, now + life)
        try:
            self._attempts.update_one({"_id": key}, change, upsert=True)
        except DuplicateKeyError:  # somebody else has just made the document
            self._attempts.update_one({"_id": key}, change)

    def claim(self, key: str, count: int, now: datetime, window: timedelta) -> bool:
        """Add an attempt unless there were `count` within the window: the check is part of the update."""
        oldest = f"times.{count - 1}"
        free = {"_id": key, "$or": [{oldest: {"$exists": False}}, {oldest: {"$lte": now - window}}]}
        for _ in range(2):
            try:
                self._attempts.update_one(free, _push(now, count, now + window), upsert=True)
            except DuplicateKeyError:  # not free, or somebody else has just made the document: the second try tells
                continue
            return True
        return False

    def trust(self, key: str, until: datetime) -> None:
        """Forget the attempts under a key, and trust it for a time."""
        change = {"$set": {"times": [], "trusted_until": until}, "$max": {"expires_at": until}}
        try:
            self._attempts.update_one({"_id": key}, change, upsert=True)
        except DuplicateKeyError:
            self._attempts.update_one({"_id": key}, change)


def _push(now: datetime, keep: int, expires_at: datetime) -> Document:
    newest_first = {"$each": [now], "$position": 0, "$slice": keep}
    return {"$push": {"times": newest_first}, "$max": {"expires_at": expires_at}}
