"""The indexes of the history of notifications."""

from datetime import datetime

from pymongo.collection import Collection
from pymongo.operations import IndexModel

from chassis.mongo import ASCENDING, DESCENDING, Document

NEWEST_FIRST: list[tuple[str, int, type]] = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]


def ensure_indexes(notifications: Collection[Document]) -> None:
    """Create the indexes that are missing: for the list of all notifications, and for the list of a user's."""
    newest_first = [(field, direction) for field, direction, _ in NEWEST_FIRST]
    notifications.create_indexes([IndexModel(newest_first), IndexModel([("user_id", ASCENDING), *newest_first])])
