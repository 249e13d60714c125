"""Reservations in MongoDB, and the stock they move."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.operations import InsertOne, UpdateOne

from chassis.errors import Unavailable
from chassis.mongo import ASCENDING, DatabaseClock, Document, Write, bulk_write, find_page, retry_and_translate
from chassis.paging import Page
from product_service.reservations import HELD, REFUSED, RELEASED, Line, PricedLine, Reservation, Shortage
from product_service.store.group_commit import GroupCommit
from product_service.store.transactions import TRANSACTION_SECONDS, TURN_SECONDS, Transactions

TOMBSTONE_LIFE = timedelta(days=7)

_OFFERED = dict.fromkeys(("name", "price", "currency", "stock", "hidden"), True)


class _NotAvailable(Exception):
    """Ends a transaction that does not find all lines for sale in these quantities."""


@dataclass(frozen=True)
class _Take:
    """The lines of an order, and the documents of their products as they were a moment ago."""

    order_id: str
    lines: tuple[Line, ...]
    products: Mapping[str, Document]


@retry_and_translate
class ReservationStore:
    """Reservations, and the stock they move."""

    def __init__(self, database: Database[Document], clock: DatabaseClock, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions
        self._takes = GroupCommit(transactions, self._take)
        self._products = database.products
        self._reservations = database.reservations
        self._clock = clock

    def take(self, order_id: str, asked: tuple[Line, ...]) -> tuple[Reservation, bool]:
        """Take the stock of all lines and record it, or record why not.

        Return what is recorded under the order's id, and whether this call has recorded it.
        """
        with pymongo.timeout(TRANSACTION_SECONDS):
            started = time.monotonic()
            while True:
                products = self._for_sale(asked)
                if shortages := [s for line in asked if (s := _shortage(line, products.get(line.product_id)))]:
                    return self._refuse(order_id, asked, shortages)
                take, ids = _Take(order_id, asked, products), tuple(line.product_id for line in asked)
                try:
                    return self._takes.commit(take, touching=ids, until=started + TRANSACTION_SECONDS), True
                except DuplicateKeyError:
                    return self._recorded(order_id), False
                except _NotAvailable as exc:  # any more, or it would have been refused
                    if time.monotonic() > started + TURN_SECONDS:
                        raise Unavailable("The stock has changed just now.") from exc

    def give_back(self, order_id: str) -> None:
        """Release a reservation and return its stock; without one, leave a tombstone that refuses a later one."""
        with pymongo.timeout(TRANSACTION_SECONDS):
            recorded = self._reservations.find_one({"_id": order_id}, {"lines.product_id": True})
            product_ids = [line["product_id"] for line in recorded["lines"]] if recorded else []
            try:
                self._transactions.run(lambda session: self._give_back(order_id, session), touching=product_ids)
            except DuplicateKeyError:  # made between our look and our tombstone
                self._transactions.run(lambda session: self._give_back(order_id, session), touching=product_ids)

    def older_than(self, seconds: float, *, limit: int, cursor: str | None) -> Page[Reservation]:
        """Return a page of the reservations made at least so long ago, oldest first; a feed, see `find_page`."""
        conditions = {"created_at": {"$lte": self._clock() - timedelta(seconds=seconds)}}
        sort = [("created_at", ASCENDING, datetime), ("_id", ASCENDING, str)]
        page = find_page(self._reservations, conditions, sort, limit=limit, cursor=cursor, feed=True)
        return Page([_reservation(document) for document in page.items], page.next_cursor)

    def audit_records(self) -> list[Document]:
        """Return what an audit compares, as of one moment: products with stock, received and held; reservations."""

        def read(session: ClientSession) -> list[Document]:
            reservations = list(self._reservations.find({}, session=session))
            products = list(self._products.find({}, {"stock": True, "received": True}, session=session))
            return _facts(products, reservations, self._clock())

        with self._database.client.start_session() as session:
            return session.with_transaction(read)

    def _take(self, takes: Sequence[_Take], session: ClientSession) -> list[Reservation]:
        """Take the stock first: a transaction that begins with its contended write collides least with others.

        Names and prices are those of a moment ago, within the callers' requests, so that no transaction waits for them.
        """
        units: Counter[str] = Counter()
        for take in takes:
            units.subtract({line.product_id: line.quantity for line in take.lines})
        reservations = [self._held(take) for take in takes]
        inserts = [InsertOne(document, self._namespace("reservations")) for document in reservations]
        if bulk_write(self._database, [*self._moves(units), *inserts], session) < len(units):
            raise _NotAvailable
        return [_reservation(document) for document in reservations]

    def _held(self, take: _Take) -> Document:
        lines = [_priced(line, take.products[line.product_id]) for line in take.lines]
        currency = take.products[take.lines[0].product_id]["currency"]
        return self._document(take.order_id, HELD, take.lines, lines) | {"currency": currency}

    def _for_sale(self, asked: tuple[Line, ...]) -> dict[str, Document]:
        found = self._products.find({"_id": {"$in": [line.product_id for line in asked]}}, _OFFERED)
        return {document["_id"]: document for document in found if not document["hidden"]}

    def _moves(self, units: Mapping[str, int]) -> list[Write]:
        """Return the updates that add units, or take them (negative) from what is for sale and has enough."""
        return [
            UpdateOne(
                {"_id": product_id, **_enough(change)},
                {"$inc": {"stock": change, "version": 1}},
                namespace=self._namespace("products"),
            )
            for product_id, change in sorted(units.items())
        ]

    def _namespace(self, collection: str) -> str:
        return f"{self._database.name}.{collection}"

    def _refuse(self, order_id: str, asked: tuple[Line, ...], shortages: list[Shortage]) -> tuple[Reservation, bool]:
        document = self._document(order_id, REFUSED, asked, [])
        document |= {"shortages": [vars(s) for s in shortages], "expires_at": self._clock() + TOMBSTONE_LIFE}
        try:
            self._reservations.insert_one(document)
        except DuplicateKeyError:
            return self._recorded(order_id), False
        return _reservation(document), True

    def _recorded(self, order_id: str) -> Reservation:
        document = self._reservations.find_one({"_id": order_id})
        if document is None:
            raise RuntimeError("a reservation vanished")
        return _reservation(document)

    def _give_back(self, order_id: str, session: ClientSession) -> None:
        document = self._reservations.find_one({"_id": order_id}, session=session)
        expires_at = self._clock() + TOMBSTONE_LIFE
        if document is None:
            tombstone = self._document(order_id, RELEASED, (), []) | {"expires_at": expires_at}
            self._reservations.insert_one(tombstone, session=session)
        elif document["state"] == HELD:
            change = {"$set": {"state": RELEASED, "expires_at": expires_at}}
            record = UpdateOne({"_id": order_id, "state": HELD}, change, namespace=self._namespace("reservations"))
            units = {line["product_id"]: line["quantity"] for line in document["lines"]}
            bulk_write(self._database, [record, *self._moves(units)], session)

    def _document(self, order_id: str, state: str, asked: tuple[Line, ...], lines: list[PricedLine]) -> Document:
        return {
            "_id": order_id,
            "state": state,
            "asked": [vars(line) for line in asked],
            "lines": [vars(line) for line in lines],
            "created_at": self._clock(),
        }


def _facts(products: list[Document], reservations: list[Document], now: datetime) -> list[Document]:
    held: Counter[str] = Counter()
    for reservation in reservations:
        if reservation["state"] == HELD:
            held.update({line["product_id"]: line["quantity"] for line in reservation["lines"]})
    return [
        *(
            {"kind": "product", "id": p["_id"], "stock": p["stock"], "received": p["received"], "held": held[p["_id"]]}
            for p in products
        ),
        *(
            {
                "kind": "reservation",
                "order_id": r["_id"],
                "state": r["state"],
                "lines": sorted([line["product_id"], line["quantity"]] for line in r["lines"]),
                "age": (now - r["created_at"]).total_seconds(),
            }
            for r in reservations
        ),
    ]


def _enough(units: int) -> Document:
    return {"hidden": False, "stock": {"$gte": -units}} if units < 0 else {}


def _shortage(line: Line, product: Document | None) -> Shortage | None:
    available = product["stock"] if product else None
    enough = available is not None and available >= line.quantity
    return None if enough else Shortage(line.product_id, line.quantity, available)


def _priced(line: Line, product: Document) -> PricedLine:
    return PricedLine(line.product_id, product["name"], product["price"], line.quantity)


def _reservation(document: Document) -> Reservation:
    return Reservation(
        order_id=document["_id"],
        state=document["state"],
        asked=tuple(Line(**line) for line in document["asked"]),
        lines=tuple(PricedLine(**line) for line in document["lines"]),
        currency=document.get("currency"),
        shortages=tuple(Shortage(**shortage) for shortage in document.get("shortages", ())),
        created_at=document["created_at"],
    )
