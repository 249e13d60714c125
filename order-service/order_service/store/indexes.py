"""The indexes of the orders, and the check that this version can use the database."""

from datetime import UTC, datetime

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.operations import IndexModel

from chassis.config import ConfigurationError
from chassis.mongo import Document
from order_service.model import ALL_ORDERS, IdRange

ANY_TIME = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}
"""The condition that a field of a sparse index exists: a range uses the index on every server."""

MAX_COUNT = 100_000  # documents; counting more would keep the worker from its work for too long

FAILING_SINCE = "payment.failing_since"
"""When the worker's attempts to settle a payment began to fail; absent while they do not."""

_NEWEST_FIRST = [("created_at", DESCENDING), ("_id", DESCENDING)]
_INDEXES = [
    IndexModel(_NEWEST_FIRST),
    IndexModel([("status", ASCENDING), *_NEWEST_FIRST]),
    IndexModel([("user.id", ASCENDING), *_NEWEST_FIRST]),
    IndexModel("due", sparse=True),
    IndexModel("release", sparse=True),
    IndexModel("payment_due", sparse=True),
    IndexModel(FAILING_SINCE, sparse=True),
]


def find_due(
    orders: Collection[Document], field: str, now: datetime, ids: IdRange, *, conditions: Document | None = None
) -> Cursor[Document]:
    """Find the orders in a range of ids that are due now by a field with a sparse index.

    The hint keeps the server from reading the whole range by the index of ids.
    """
    due: Document = {field: {"$lte": now}, **(conditions or {})}
    if ids == ALL_ORDERS:
        return orders.find(due)
    limits = {"$gte": ids.first} | ({"$lt": ids.end} if ids.end else {})
    return orders.find(due | {"_id": limits}).hint([(field, ASCENDING)])


def ensure_indexes(orders: Collection[Document]) -> None:
    """Create the indexes that are missing. Raises ConfigurationError for a database of an earlier version."""
    if "idempotency_key_1" in orders.index_information():
        raise ConfigurationError(
            "MONGO_URL: this database was made by an earlier version, and this version cannot continue its orders. "
            "Start from empty data: ./dev up --fresh, or docker compose down --volumes"
        )
    orders.create_indexes(_INDEXES)
