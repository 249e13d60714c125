"""Reservations in MongoDB: read the products, then take their stock and insert the reservation in one transaction."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.operations import InsertOne, UpdateOne

from chassis.errors import Unavailable
from chassis.mongo import ASCENDING, DatabaseClock, Document, Write, bulk_write, find_page, retry_and_translate
from chassis.paging import Page
from product_service import metrics
from product_service.model import HELD, Line, Reservation, Shortage
from product_service.store import reservation_documents as documents
from product_service.store.group_commit import GroupCommit
from product_service.store.transactions import Transactions

RETRY_TIME = 0.7  # s for new tries after the stock changed between the read and the write; half of the timeout

log = logging.getLogger(__name__)

_OFFER = dict.fromkeys(("name", "price", "currency", "stock", "hidden"), True)


class _StockConditionFailed(Exception):
    """A product is no longer for sale in this quantity. Nothing was written."""


@retry_and_translate
class ReservationStore:
    """Reservations, and the stock that they hold. The `_id` of a reservation is the id of its order."""

    def __init__(self, database: Database[Document], clock: DatabaseClock, transactions: Transactions) -> None:
        self._database = database
        self._products = database.products
        self._reservations = database.reservations
        self._transactions = transactions
        self._group_commit = GroupCommit(transactions, self._write_group)
        self._clock = clock

    def reserve(self, order_id: str, requested: tuple[Line, ...]) -> tuple[Reservation, bool]:
        """Take the stock of all lines and record the reservation, or record the refusal.

        Return the record under the order's id, and whether this call has inserted it. Raises Unavailable.
        """
        started = time.monotonic()
        with pymongo.timeout(self._transactions.timeout):
            while True:
                try:
                    return self._reserve_once(order_id, requested, started + self._transactions.timeout)
                except _StockConditionFailed as exc:
                    if time.monotonic() > started + RETRY_TIME:
                        raise Unavailable("The stock changed concurrently. Repeat the request.") from exc
                    metrics.RETRIES.inc()

    def _reserve_once(self, order_id: str, requested: tuple[Line, ...], deadline: float) -> tuple[Reservation, bool]:
        products = self._read_offers(requested)
        try:
            if shortages := _shortages(requested, products):
                document = documents.refused(order_id, requested, shortages, self._clock())
                self._reservations.insert_one(document)
            else:
                document = documents.held(order_id, requested, products, self._clock())
                product_ids = tuple(line.product_id for line in requested)
                self._group_commit.commit(document, product_ids=product_ids, deadline=deadline)
        except DuplicateKeyError:  # a repeat
            return self._find(order_id), False
        return documents.to_reservation(document), True

    def _read_offers(self, requested: tuple[Line, ...]) -> dict[str, Document]:
        """Return the requested products that are for sale, by id."""
        ids = [line.product_id for line in requested]
        return {d["_id"]: d for d in self._products.find({"_id": {"$in": ids}}, _OFFER) if not d["hidden"]}

    def _write_group(self, reservations: Sequence[Document], session: ClientSession) -> None:
        """Take the stock of reservations and insert them, all or none.

        The updates come first: a transaction that begins with its contended writes has the fewest conflicts.
        """
        changes: Counter[str] = Counter()
        for reservation in reservations:
            changes.subtract(documents.quantities(reservation))
        inserts = [InsertOne(document, self._reservations.full_name) for document in reservations]
        if bulk_write(self._database, [*self._stock_updates(changes), *inserts], session) < len(changes):
            raise _StockConditionFailed

    def _stock_updates(self, changes: Mapping[str, int]) -> list[Write]:
        """Return the updates of the stock. Units are taken only from a product that is for sale and has enough.

        All transactions update products in the order of their ids, so that two cannot wait for each other.
        """
        return [
            UpdateOne(
                {"_id": product_id} | ({"hidden": False, "stock": {"$gte": -change}} if change < 0 else {}),
                {"$inc": {"stock": change, "version": 1}},
                namespace=self._products.full_name,
            )
            for product_id, change in sorted(changes.items())
        ]

    def _find(self, order_id: str) -> Reservation:
        document = self._reservations.find_one({"_id": order_id})
        if document is None:
            raise Unavailable("The record of this order is gone. Repeat the request.")
        return documents.to_reservation(document)

    def release(self, order_id: str) -> None:
        """Return the stock of a reservation. Without one, insert a tombstone that refuses a late reservation."""
        work = partial(self._release, order_id)
        with pymongo.timeout(self._transactions.timeout):
            document = self._reservations.find_one({"_id": order_id}, {"lines": True})
            product_ids = list(documents.quantities(document)) if document else []
            try:
                self._transactions.run(work, product_ids=product_ids)
            except DuplicateKeyError:  # a reservation was inserted between the read and the tombstone
                self._transactions.run(work, product_ids=product_ids)

    def _release(self, order_id: str, session: ClientSession) -> None:
        document = self._reservations.find_one({"_id": order_id}, session=session)
        now = self._clock()
        if document is None:
            self._reservations.insert_one(documents.tombstone(order_id, now), session=session)
        elif document["state"] == HELD:
            # This filter matches: if another process changed the record since the read, the write is a conflict.
            record = UpdateOne({"_id": order_id}, documents.release(now), namespace=self._reservations.full_name)
            writes = [record, *self._stock_updates(documents.quantities(document))]
            if bulk_write(self._database, writes, session) < len(writes):
                log.error("stock of order %s not released: a product is not stored. Restore the product.", order_id)
                raise RuntimeError("product not stored")  # raising aborts the transaction, so that no units vanish

    def older_than(self, seconds: float, *, limit: int, cursor: str | None) -> Page[Reservation]:
        """Return a page of the reservations of at least this age, oldest first. It is a feed, see `find_page`."""
        conditions = {"created_at": {"$lte": self._clock() - timedelta(seconds=seconds)}}
        sort = [("created_at", ASCENDING, datetime), ("_id", ASCENDING, str)]
        page = find_page(self._reservations, conditions, sort, limit=limit, cursor=cursor, feed=True)
        return Page([documents.to_reservation(document) for document in page.items], page.next_cursor)


def _shortages(requested: tuple[Line, ...], products: Mapping[str, Document]) -> list[Shortage]:
    """Return the lines that cannot be served by these products."""
    stock = {product_id: document["stock"] for product_id, document in products.items()}
    return [
        Shortage(line.product_id, line.quantity, stock.get(line.product_id))
        for line in requested
        if stock.get(line.product_id, 0) < line.quantity
    ]
