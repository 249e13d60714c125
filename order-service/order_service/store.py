"""MongoDB of order-service: one document per order, holding its state, its outbox and what is still due.

Every change is a compare-and-set in one write and safe to run twice. `due` and `release` are times, and are there only
while a worker has something to do: `due` to undo a pending order or to publish its outbox, `release` to release its
stock. They are apart, so that events never wait for releases, which need product-service.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.operations import IndexModel, UpdateOne

from chassis.errors import Unavailable
from chassis.mongo import ASCENDING, DESCENDING, DatabaseClock, Document, find_page, guarded
from chassis.paging import Page
from order_service import events
from order_service.model import (
    CONFIRMED,
    FAILED,
    LIVING,
    PENDING,
    REJECTED,
    Buyer,
    Item,
    Line,
    Order,
    Refusal,
    Reserved,
)

PENDING_LIFE = timedelta(seconds=15)
"""How long an order may be pending before a worker undoes it; far longer than placing one may take."""


@guarded
class OrderStore:
    """Orders, for the web service and the worker."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._database = database
        self._orders = database.orders
        self._clock = clock

    def prepare(self) -> None:
        """Make the indexes."""
        newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
        prefixes: list[tuple[str, ...]] = [(), ("status",), ("user.id",), ("user.id", "status")]
        lists = [IndexModel([*((field, ASCENDING) for field in prefix), *newest]) for prefix in prefixes]
        key = IndexModel("idempotency_key", unique=True, sparse=True)
        self._orders.create_indexes([*lists, key, IndexModel("due", sparse=True), IndexModel("release", sparse=True)])

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._orders.find_one({"_id": ""})

    def find(self, order_id: str) -> Order | None:
        """Return an order."""
        document = self._orders.find_one({"_id": order_id})
        return _order(document) if document else None

    def page(self, owner: str | None, status: str | None, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first."""
        conditions = {key: value for key, value in (("user.id", owner), ("status", status)) if value is not None}
        page = find_page(self._orders, conditions, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page([_order(document) for document in page.items], page.next_cursor)

    def open(
        self, order_id: str, buyer: Buyer, items: tuple[Item, ...], key: str | None, fingerprint: str
    ) -> tuple[Order, bool]:
        """Insert a pending order and return it with True, or the order that has the key already with False."""
        now = self._clock()
        document: Document = {
            "_id": order_id,
            "status": PENDING,
            "user": vars(buyer),
            "items": [vars(item) for item in items],
            "fingerprint": fingerprint,
            "created_at": now,
            "updated_at": now,
            "due": now + PENDING_LIFE,
        }
        for _ in range(3):
            try:
                self._orders.insert_one(document | ({"idempotency_key": key} if key else {}))
                return _order(document), True
            except DuplicateKeyError:
                same = [{"_id": order_id}, *([{"idempotency_key": key}] if key else [])]
                if found := self._orders.find_one({"$or": same}):
                    return _order(found), found["_id"] == order_id
        raise Unavailable("The idempotency key is in use.")

    def confirm(self, order: Order, reserved: Reserved) -> Order | None:
        """Make a pending order a confirmed one, its event in the same write; None if it is no longer pending."""
        now = self._clock()
        total = sum(line.unit_price * line.quantity for line in reserved.lines)
        known: Document = {"status": CONFIRMED, "total": total, "currency": reserved.currency, "updated_at": now}
        confirmed = replace(order, lines=reserved.lines, **known)
        event = events.order_event(events.ORDER_CREATED, confirmed, now)
        lines = [vars(line) for line in reserved.lines]
        change = {"$set": {**known, "lines": lines, "outbox": [event], "due": now}}
        done = self._orders.update_one({"_id": order.id, "status": PENDING}, change).matched_count
        return confirmed if done else None

    def reject(self, order_id: str, refusal: Refusal) -> Order | None:
        """Make a pending order a rejected one, to be released; None if it is no longer pending."""
        return self._undo({"_id": order_id}, {"status": REJECTED, "refusal": vars(refusal)}, {})

    def fail(self, order_id: str) -> Order | None:
        """Make a pending order a failed one, to be released, and free its key; None if it is no longer pending."""
        return self._undo({"_id": order_id}, {"status": FAILED}, {"idempotency_key": ""})

    def fail_stale(self, order_id: str) -> Order | None:
        """Do the same if it has been pending for so long that whoever placed it must have died."""
        stale = {"_id": order_id, "created_at": {"$lte": self._clock() - PENDING_LIFE}}
        return self._undo(stale, {"status": FAILED}, {"idempotency_key": ""})

    def _undo(self, wanted: Document, state: Document, freed: Document) -> Order | None:
        now = self._clock()
        change: Document = {"$set": {**state, "release": now, "updated_at": now}, "$unset": {"due": "", **freed}}
        if not self._orders.update_one({**wanted, "status": PENDING}, change).matched_count:
            return None
        return self.find(wanted["_id"])

    def advance(self, order: Order, start: str, end: str, kind: str, write_id: str, *, release: bool) -> Order | None:
        """Move an order from one state to another, its event in the same write; None if it is not in the first.

        `write_id` tells a repeat of this call from somebody else's.
        """
        now = self._clock()
        state = {"status": end, "updated_at": now, "due": now, "write_id": write_id}
        state |= {"release": now} if release else {}
        change = {"$set": state, "$push": {"outbox": events.order_event(kind, order, now)}}
        if not self._orders.update_one({"_id": order.id, "status": start}, change).matched_count:
            ours = self._orders.find_one({"_id": order.id, "write_id": write_id})
            return _order(ours) if ours else None
        return self.find(order.id)

    def facts(self) -> list[Document]:
        """Return what an audit compares: every order with its state, its lines and what is still due."""
        now = self._clock()
        return [_fact(document, now) for document in self._orders.find({})]

    def due(self, limit: int) -> list[Order]:
        """Return orders that are to be undone, or whose outbox is to be published, now."""
        return [_order(document) for document in self._orders.find({"due": {"$lte": self._clock()}}).limit(limit)]

    def releasable(self, limit: int) -> list[str]:
        """Return the ids of orders whose stock is to be released now."""
        wanted = {"release": {"$lte": self._clock()}}
        return [document["_id"] for document in self._orders.find(wanted, {"_id": True}).limit(limit)]

    def published(self, orders: Iterable[tuple[str, list[str]]]) -> None:
        """Take events out of the outboxes of orders: (order id, event ids) of what the broker has confirmed.

        Most orders have one event: one write does for all of these.
        """
        done = list(orders)
        event_ids = [event_id for _, ids in done for event_id in ids]
        single = [order_id for order_id, ids in done if len(ids) == 1]
        at_rest = {
            "_id": {"$in": single},
            "outbox": {"$size": 1},
            "outbox.id": {"$in": event_ids},
        }
        change = {"$set": {"outbox": []}, "$unset": {"due": ""}}
        if self._orders.update_many(at_rest, change).matched_count < len(done):
            pull = [UpdateOne({"_id": o}, {"$pull": {"outbox": {"id": {"$in": ids}}}}) for o, ids in done]
            self._orders.bulk_write(pull, ordered=False)

    def released(self, order_id: str) -> None:
        """Note that product-service has released the stock of an order."""
        self._orders.update_one({"_id": order_id}, {"$unset": {"release": ""}})

    def rest(self, order_id: str) -> None:
        """Note that nothing is due for an order, if that is so."""
        at_rest = {"_id": order_id, "status": {"$ne": PENDING}, "outbox.0": {"$exists": False}}
        self._orders.update_one(at_rest, {"$unset": {"due": ""}})

    def postpone(self, order_ids: list[str], seconds: float) -> None:
        """Let what is due for these orders wait."""
        self._put_off("due", order_ids, seconds)

    def postpone_release(self, order_ids: list[str], seconds: float) -> None:
        """Let the release of these orders' stock wait."""
        self._put_off("release", order_ids, seconds)

    def _put_off(self, field: str, order_ids: list[str], seconds: float) -> None:
        later = self._clock() + timedelta(seconds=seconds)
        self._orders.update_many({"_id": {"$in": order_ids}, field: {"$exists": True}}, {"$set": {field: later}})

    def living(self, order_ids: list[str]) -> set[str]:
        """Return which of these orders may hold stock."""
        wanted = {"_id": {"$in": order_ids}, "status": {"$in": list(LIVING)}}
        return {document["_id"] for document in self._orders.find(wanted, {"_id": True})}

    def reconciled_up_to(self) -> str | None:
        """Return the cursor of the reservations that were compared with orders so far."""
        document = self._database.worker_state.find_one({"_id": "reconciliation"})
        return document["cursor"] if document else None

    def reconciled(self, cursor: str) -> None:
        """Keep the cursor of the reservations that were compared."""
        with suppress(DuplicateKeyError):  # another worker keeps its own, the first of all, at this moment
            self._database.worker_state.update_one({"_id": "reconciliation"}, {"$set": {"cursor": cursor}}, upsert=True)


_NEWEST_FIRST: list[tuple[str, int, type]] = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]


def _order(document: Document) -> Order:
    refusal = document.get("refusal")
    return Order(
        id=document["_id"],
        status=document["status"],
        user=Buyer(**document["user"]),
        items=tuple(Item(**item) for item in document["items"]),
        lines=tuple(Line(**line) for line in document.get("lines", ())),
        total=document.get("total"),
        currency=document.get("currency"),
        refusal=Refusal(**refusal) if refusal else None,
        fingerprint=document["fingerprint"],
        outbox=tuple(document.get("outbox", ())),
        release="release" in document,
        created_at=document["created_at"],
        updated_at=document["updated_at"],
    )


def _seconds_since(time: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(time)).total_seconds()


def _fact(document: Document, now: datetime) -> Document:
    order, key = _order(document), document.get("idempotency_key")
    return {
        "kind": "order",
        "id": order.id,
        "user": order.user.id,
        "has_phone": order.user.phone is not None,
        "status": order.status,
        "key": hashlib.sha256(key.encode()).hexdigest() if key else None,
        "lines": sorted([line.product_id, line.quantity] for line in order.lines),
        "outbox": {event["id"]: _seconds_since(event["time"], now) for event in order.outbox},
        "release": order.release,
        "age": (now - order.updated_at).total_seconds(),
    }
