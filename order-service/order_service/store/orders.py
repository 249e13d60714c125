"""Orders, for the web service and the worker."""

from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from chassis.mongo import DESCENDING, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from order_service import metrics
from order_service.model import FAILED, NOT_HOLDING_STOCK, HistoryEntry, IdRange, Order, OrderFilter, known_fields
from order_service.payment.model import OPEN_PAYMENT, REFUND_DUE
from order_service.store.audit_records import order_record
from order_service.store.documents import to_document, to_order
from order_service.store.indexes import ANY_TIME, MAX_COUNT, ensure_indexes, find_due
from order_service.transition import Transition

SAMPLE = 1000  # orders that are read to find the oldest release
_NEWEST_FIRST: list[tuple[str, int, type]] = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]


@retry_and_translate
class OrderStore:
    """The collection of orders."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._orders = database.orders.with_options(read_concern=ReadConcern("majority"))
        self._clock = clock
        self._create_failed = False

    @property
    def has_failed(self) -> bool:
        """Return whether the last `create` has failed. Ping then, to notice an outage before you take stock."""
        return self._create_failed

    def ensure_indexes(self) -> None:
        """Create the indexes that are missing. Raises ConfigurationError for a database of an earlier version."""
        ensure_indexes(self._orders)

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._orders.find_one({"_id": ""})

    def create(self, order: Order) -> bool:
        """Insert an order, with its due work; return False if its id is taken, perhaps by a first run of this call.

        The unique `_id` is the compare-and-set between all writers of an order: if it is taken, the order is decided.
        """
        try:
            self._orders.insert_one(to_document(order))
        except DuplicateKeyError:
            self._create_failed = False
            return False
        except PyMongoError:
            self._create_failed = True
            raise
        self._create_failed = False
        metrics.count_order(order)
        return True

    def find(self, order_id: str) -> Order | None:
        """Return an order, or None."""
        document = self._orders.find_one({"_id": order_id})
        return to_order(document) if document else None

    def find_many(self, order_ids: list[str]) -> dict[str, Order]:
        """Return the orders that exist under these ids, by id."""
        return {document["_id"]: to_order(document) for document in self._orders.find({"_id": {"$in": order_ids}})}

    def statuses(self, order_ids: list[str]) -> dict[str, str]:
        """Return the statuses of the orders that exist under these ids, by id."""
        documents = self._orders.find({"_id": {"$in": order_ids}}, {"status": True})
        return {document["_id"]: document["status"] for document in documents}

    def list_orders(self, wanted: OrderFilter, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first. Failed orders, which have no owner, are shown only by `status`."""
        query: Document = {"user.id": wanted.owner} if wanted.owner is not None else {}
        if wanted.status is not None or wanted.owner is None:
            query["status"] = wanted.status or {"$ne": FAILED}
        bounds = {"$gte": wanted.created_after, "$lt": wanted.created_before}
        if period := {comparison: bound for comparison, bound in bounds.items() if bound}:
            query["created_at"] = period
        page = find_page(self._orders, query, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page([to_order(document) for document in page.items], page.next_cursor)

    def transition(self, order_id: str, move: Transition) -> Order | None:
        """Move an order to another status, with its event in the same write; None if its state does not allow it."""
        allowed: Document = {"_id": order_id, "status": move.start}
        if move.waits_for_payment:
            allowed["payment.status"] = {"$nin": OPEN_PAYMENT}
        if not self._orders.update_one(allowed, _update(move)).matched_count:
            own_write = self._orders.find_one({"_id": order_id, "write_id": move.write_id})
            return to_order(own_write) if own_write else None
        metrics.count_transition(move)
        return self.find(order_id)

    def due_releases(self, ids: IdRange, limit: int) -> dict[str, str | None]:
        """Return the ids of orders whose stock must be released now, each with its `traceparent` if it has one."""
        due = find_due(self._orders, "release", self._clock(), ids).limit(limit)
        return {document["_id"]: document.get("traceparent") for document in due}

    def make_release_due(self, order_id: str) -> bool:
        """Let the worker release an order's stock now.

        Return False, and change nothing, if the order may hold it, or its release is due already.
        """
        stray = {"_id": order_id, "status": {"$in": NOT_HOLDING_STOCK}, "release": {"$exists": False}}
        return self._orders.update_one(stray, {"$set": {"release": self._clock()}}).matched_count == 1

    def mark_released(self, order_id: str) -> bool:
        """Note that product-service has released the stock of an order; return False if that was noted before."""
        due = {"_id": order_id, "release": {"$exists": True}}
        return self._orders.update_one(due, {"$unset": {"release": ""}}).matched_count == 1

    def delay_releases(self, order_ids: list[str], seconds: float) -> None:
        """Delay the release of these orders' stock."""
        later = {"release": self._clock() + timedelta(seconds=seconds)}
        self._orders.update_many({"_id": {"$in": order_ids}, "release": {"$exists": True}}, {"$set": later})

    def waiting_releases(self) -> tuple[int, datetime | None]:
        """Return how many orders wait for the release of their stock, and since when the oldest does; None: none waits.

        Delayed releases wait, too. Of more orders than a sample, the oldest is that of the sample. `release` itself is
        no age: each failed attempt moves it. An order that has lost its right to stock does not change any more, except
        that its money may come back.
        """
        waiting: Document = {"release": ANY_TIME}
        since = [document["updated_at"] for document in self._orders.find(waiting, {"updated_at": True}).limit(SAMPLE)]
        is_sample = len(since) == SAMPLE
        number = self._orders.count_documents(waiting, limit=MAX_COUNT) if is_sample else len(since)
        return number, min(since, default=None)

    def audit_records(self) -> list[Document]:
        """Return a record of every order for an audit."""
        now = self._clock()
        return [order_record(document, now) for document in self._orders.find({})]

    def order_records(self, order_id: str) -> list[Document]:
        """Return the order as it is stored, if there is one."""
        return [{"kind": "order_document", **document} for document in self._orders.find({"_id": order_id})]


def _update(move: Transition) -> Document:
    changes: Document = {"status": move.end, "updated_at": move.at, "due": move.at, "write_id": move.write_id}
    if move.releases_stock:
        changes["release"] = move.at
    if move.tracking:
        changes["tracking"] = known_fields(move.tracking)
    if move.refunds:
        changes |= {"payment.status": REFUND_DUE, "payment_due": move.at}
    return {"$set": changes, "$push": {"outbox": move.event, "history": vars(HistoryEntry(move.end, move.at, move.by))}}
