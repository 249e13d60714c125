"""MongoDB of order-service: one document per order, holding its state, its outbox and what is still due.

An order is inserted once, when its outcome is known; every later change is a compare-and-set in one write. All of it is
safe to run twice. `due` and `release` are times, and are there only while a worker has something to do: `due` to
publish the outbox, `release` to release the order's stock. They are apart, so that events never wait for releases,
which need product-service.

Orders are read with read concern majority: what a new primary could roll back must not be acted upon.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.operations import IndexModel, UpdateOne
from pymongo.read_concern import ReadConcern

from chassis.config import ConfigurationError
from chassis.mongo import ASCENDING, DESCENDING, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from order_service.model import FAILED, Buyer, Item, Line, Order, Refusal

STEP_BACK_EVERY = timedelta(days=1)
STEP_BACK = timedelta(days=2)
_CURSOR = "reconciliation"  # the document of the worker's cursor


@retry_and_translate
class OrderStore:
    """Orders, for the web service and the worker."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._orders = database.orders.with_options(read_concern=ReadConcern("majority"))
        self._worker_state = database.worker_state
        self._clock = clock
        self._insert_failed = False

    def prepare(self) -> None:
        """Make the indexes. Raises ConfigurationError if the database is one of the saga with pending orders."""
        if "idempotency_key_1" in self._orders.index_information():
            raise ConfigurationError(
                "MONGO_URL: this database was made by an earlier version, whose orders this one cannot continue. "
                "Start from empty data: ./dev up --fresh, or docker compose down --volumes"
            )
        newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
        prefixes: list[tuple[str, ...]] = [(), ("status",), ("user.id",)]
        lists = [IndexModel([*((field, ASCENDING) for field in prefix), *newest]) for prefix in prefixes]
        self._orders.create_indexes([*lists, IndexModel("due", sparse=True), IndexModel("release", sparse=True)])

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._orders.find_one({"_id": ""})

    def check_after_failure(self) -> None:
        """Read once if the last insert failed, so that an outage shows before stock is taken for another order."""
        if self._insert_failed:
            self.ping()

    def insert(self, order: Order) -> bool:
        """Insert an order, with what is due for it; False if its id is taken, perhaps by an earlier run of this call.

        Then the order is decided: read what it says.
        """
        try:
            self._orders.insert_one(_document(order))
        except DuplicateKeyError:
            self._insert_failed = False
            return False
        except PyMongoError:
            self._insert_failed = True
            raise
        self._insert_failed = False
        return True

    def read(self, order_id: str) -> Order | None:
        """Return an order."""
        document = self._orders.find_one({"_id": order_id})
        return _order(document) if document else None

    def attempts(self, order_ids: list[str]) -> dict[str, Order]:
        """Return those of these orders that there are, by id."""
        return {document["_id"]: _order(document) for document in self._orders.find({"_id": {"$in": order_ids}})}

    def page(self, owner: str | None, status: str | None, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first. Failed ones, which have no owner, are shown only by `status`."""
        conditions: Document = {"user.id": owner} if owner is not None else {}
        if status is not None or owner is None:
            conditions["status"] = status or {"$ne": FAILED}
        page = find_page(self._orders, conditions, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page([_order(document) for document in page.items], page.next_cursor)

    def advance(
        self, order_id: str, start: str, end: str, event: Document, now: datetime, write_id: str, *, release: bool
    ) -> Order | None:
        """Move an order from one state to another, its event in the same write; None if it is not in the first.

        `write_id` distinguishes a repeat of this call from another one.
        """
        state = {"status": end, "updated_at": now, "due": now, "write_id": write_id}
        state |= {"release": now} if release else {}
        change = {"$set": state, "$push": {"outbox": event}}
        if not self._orders.update_one({"_id": order_id, "status": start}, change).matched_count:
            ours = self._orders.find_one({"_id": order_id, "write_id": write_id})
            return _order(ours) if ours else None
        return self.read(order_id)

    def audit_records(self) -> list[Document]:
        """Return what an audit compares: every order with its state, its lines and what is still due."""
        now = self._clock()
        return [_fact(document, now) for document in self._orders.find({})]

    def due(self, limit: int) -> list[Order]:
        """Return orders whose outbox is to be published now."""
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
        """Note that nothing is to be published for an order, if that is so."""
        self._orders.update_one({"_id": order_id, "outbox.0": {"$exists": False}}, {"$unset": {"due": ""}})

    def postpone(self, order_ids: list[str], seconds: float) -> None:
        """Let the events of these orders wait."""
        self._postpone("due", order_ids, seconds)

    def postpone_release(self, order_ids: list[str], seconds: float) -> None:
        """Let the release of these orders' stock wait."""
        self._postpone("release", order_ids, seconds)

    def _postpone(self, field: str, order_ids: list[str], seconds: float) -> None:
        later = self._clock() + timedelta(seconds=seconds)
        self._orders.update_many({"_id": {"$in": order_ids}, field: {"$exists": True}}, {"$set": {field: later}})

    def statuses(self, order_ids: list[str]) -> dict[str, str]:
        """Return the status of those of these orders that there are, by id."""
        found = self._orders.find({"_id": {"$in": order_ids}}, {"status": True})
        return {document["_id"]: document["status"] for document in found}

    def cursor(self) -> str | None:
        """Return the cursor of the reservations that were compared with orders so far."""
        return (self._worker_state.find_one({"_id": _CURSOR}) or {}).get("cursor")

    def advance_cursor(self, seen: str | None, cursor: str) -> None:
        """Keep the cursor of the reservations that were compared, unless another worker has moved it from `seen`."""
        with suppress(DuplicateKeyError):  # the document is there, with another cursor
            change = {"$set": {"cursor": cursor}}
            self._worker_state.update_one({"_id": _CURSOR, "cursor": seen}, change, upsert=seen is None)

    def step_back(self) -> None:
        """Once a day let the cursor go back two days, so that the reservations since then are compared once more.

        One may have become visible behind the cursor: a transaction takes its time before its commit, and clocks step.
        The cursors of the last days are kept for that.
        """
        now = self._clock()
        state = self._worker_state.find_one({"_id": _CURSOR}) or {}
        passed: list[dict[str, Any]] = state.get("passed", [])
        if not state or (passed and passed[-1]["at"] > now - STEP_BACK_EVERY):
            return
        old = [mark for mark in passed if mark["at"] <= now - STEP_BACK]
        kept = [*old[-1:], *passed[len(old) :], {"at": now, "cursor": state["cursor"]}]
        target = (old[-1]["cursor"] if old else None) if passed else state["cursor"]
        unchanged = {"_id": _CURSOR, "cursor": state["cursor"], "passed": passed or {"$exists": False}}
        self._worker_state.update_one(unchanged, {"$set": {"cursor": target, "passed": kept}})


_NEWEST_FIRST: list[tuple[str, int, type]] = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]


def _document(order: Order) -> Document:
    """Return the document of a new order, without the fields that it does not have."""
    fields: Document = {
        "user": vars(order.user) if order.user else None,
        "items": [vars(item) for item in order.items],
        "lines": [vars(line) for line in order.lines],
        "total": order.total,
        "currency": order.currency,
        "refusal": vars(order.refusal) if order.refusal else None,
        "key": order.key,
        "fingerprint": order.fingerprint,
        "outbox": list(order.outbox),
        "due": order.created_at if order.outbox else None,
        "release": order.created_at if order.release else None,
    }
    state = {"_id": order.id, "status": order.status, "created_at": order.created_at, "updated_at": order.updated_at}
    return state | {name: value for name, value in fields.items() if value not in (None, [], "")}


def _order(document: Document) -> Order:
    user, refusal = document.get("user"), document.get("refusal")
    return Order(
        id=document["_id"],
        status=document["status"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        user=Buyer(**user) if user else None,
        items=tuple(Item(**item) for item in document.get("items", ())),
        lines=tuple(Line(**line) for line in document.get("lines", ())),
        total=document.get("total"),
        currency=document.get("currency"),
        refusal=Refusal(**refusal) if refusal else None,
        key=document.get("key"),
        fingerprint=document.get("fingerprint", ""),
        outbox=tuple(document.get("outbox", ())),
        release="release" in document,
    )


def _seconds_since(time: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(time)).total_seconds()


def _fact(document: Document, now: datetime) -> Document:
    order = _order(document)
    user, key = order.user or Buyer("", None, None), order.key
    return {
        "kind": "order",
        "id": order.id,
        "user": user.id or None,
        "has_phone": user.phone is not None,
        "status": order.status,
        "key": hashlib.sha256(f"{user.id} {key}".encode()).hexdigest() if key else None,
        "lines": sorted([line.product_id, line.quantity] for line in order.lines),
        "outbox": {event["id"]: _seconds_since(event["time"], now) for event in order.outbox},
        "release": order.release,
        "age": (now - order.updated_at).total_seconds(),
    }
