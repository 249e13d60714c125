"""The cursor of the reconciliation: the reservations before it were compared with orders."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import DatabaseClock, Document, retry_and_translate

STEP_BACK_EVERY = timedelta(days=1)
STEP_BACK = timedelta(days=2)  # longer than a commit takes, and more than a clock is ever set back
_ID = "reconciliation"


@retry_and_translate
class ReconciliationCursor:
    """The cursor that all workers share. Every change is a compare-and-set, so no worker undoes another's change."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._worker_state = database.worker_state
        self._clock = clock

    def read(self) -> str | None:
        """Return the cursor after the last reservation that was compared."""
        return (self._worker_state.find_one({"_id": _ID}) or {}).get("cursor")

    def save(self, cursor: str, *, previous: str | None) -> None:
        """Save the cursor, unless another worker has moved it from `previous`."""
        with suppress(DuplicateKeyError):  # the document exists, with another cursor
            change = {"$set": {"cursor": cursor}}
            self._worker_state.update_one({"_id": _ID, "cursor": previous}, change, upsert=previous is None)

    def reset(self) -> None:
        """Begin anew: after a restore, reservations before the cursor may be strays again."""
        self._worker_state.delete_one({"_id": _ID})

    def step_back(self) -> None:
        """Once a day, move the cursor back two days, so that the reservations since then are compared again.

        A reservation may become visible behind the cursor: it gets its time before its transaction commits, and a clock
        may be set back. `passed` keeps the cursors of the last days. If none is two days old, the start is the target.
        """
        now = self._clock()
        state = self._worker_state.find_one({"_id": _ID}) or {}
        marks: list[dict[str, Any]] = state.get("passed", [])
        if not state or (marks and marks[-1]["at"] > now - STEP_BACK_EVERY):
            return
        old = [mark for mark in marks if mark["at"] <= now - STEP_BACK]
        target = (old[-1]["cursor"] if old else None) if marks else state["cursor"]
        new_marks = [*old[-1:], *marks[len(old) :], {"at": now, "cursor": state["cursor"]}]
        unchanged = {"_id": _ID, "cursor": state["cursor"], "passed": marks or {"$exists": False}}
        self._worker_state.update_one(unchanged, {"$set": {"cursor": target, "passed": new_marks}})
