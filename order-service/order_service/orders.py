"""Placing orders and moving them on. An order's document is the log of its saga: state first, effects second.

Whoever loses a compare-and-set reads the document again and answers what it says.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from chassis.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from chassis.paging import Page
from order_service import events
from order_service.model import (
    CANCELLED,
    CONFIRMED,
    DELIVERED,
    FAILED,
    PENDING,
    REJECTED,
    SHIPPED,
    Buyer,
    Item,
    Order,
    Refusal,
    ReservationRefused,
    summed,
)

if TYPE_CHECKING:
    from order_service.products import ProductClient
    from order_service.store import OrderStore


class OrderRejected(Problem):
    """Product-service refused the stock. Final: the same key is answered alike."""

    def __init__(self, refusal: Refusal, *, replayed: bool) -> None:
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        super().__init__(refusal.detail, headers=headers, **refusal.members)
        self.status, self.code, self.title = refusal.status, refusal.code, refusal.title  # type: ignore[misc]


class OrderFailed(Unavailable):
    """The order was not placed and holds nothing; its idempotency key is free. Safe to repeat."""

    code, title = "order-not-placed", "Order Not Placed"


class RequestInProgress(Conflict):
    """The first request with this key has not been answered yet: repeat after a second."""

    code, title = "request-in-progress", "Request In Progress"

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is in progress.", headers={"Retry-After": "1"})


class KeyReused(Invalid):
    """The idempotency key was used for another order."""

    code, title = "idempotency-key-reused", "Idempotency Key Reused"


class WrongState(Conflict):
    """The order is in a state that does not allow this."""

    code, title = "wrong-state", "Wrong State"


class Orders:
    """The use cases around orders."""

    def __init__(self, store: "OrderStore", products: "ProductClient") -> None:
        self._store = store
        self._products = products

    def place(self, buyer: Buyer, items: Iterable[Item], key: str | None) -> tuple[Order, bool]:
        """Place an order, and tell whether this repeats an earlier answer to the same idempotency key.

        Raises OrderRejected, OrderFailed, RequestInProgress, KeyReused, Unavailable.
        """
        wanted = summed(items)
        mark = fingerprint(wanted)
        scoped_key = f"{buyer.id}:{key}" if key else None
        order, is_new = self._store.open(uuid.uuid4().hex, buyer, wanted, scoped_key, mark)
        if not is_new and order.fingerprint != mark:
            raise KeyReused("This Idempotency-Key was used for another order.")
        if is_new:
            order = self._reserve(order)
        elif order.status == PENDING:
            raise RequestInProgress
        return _outcome(order, replayed=not is_new), not is_new

    def get(self, order_id: str, owner: str | None) -> Order:
        """Return an order, only if it belongs to `owner` where one is given. Raises NotFound."""
        order = self._store.find(order_id)
        if order is None or owner not in (None, order.user.id):
            raise NotFound(f"There is no order {order_id!r}.")
        return order

    def page(self, owner: str | None, status: str | None, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first: those of `owner`, or of everybody."""
        return self._store.page(owner, status, limit=limit, cursor=cursor)

    def cancel(self, order_id: str, owner: str | None) -> Order:
        """Cancel a confirmed order; its stock returns. Raises NotFound, WrongState."""
        order = self._advance(order_id, owner, CONFIRMED, CANCELLED, events.ORDER_CANCELLED)
        try:
            self._products.release(order.id)
            self._store.released(order.id)
        except Unavailable:
            pass  # the worker does it: the order's document says that it is due
        return order

    def ship(self, order_id: str) -> Order:
        """Mark a confirmed order as shipped. Raises NotFound, WrongState."""
        return self._advance(order_id, None, CONFIRMED, SHIPPED, events.ORDER_SHIPPED)

    def deliver(self, order_id: str) -> Order:
        """Mark a shipped order as delivered. Raises NotFound, WrongState."""
        return self._advance(order_id, None, SHIPPED, DELIVERED, events.ORDER_DELIVERED)

    def _reserve(self, order: Order) -> Order:
        try:
            reserved = self._products.reserve(order.id, order.items)
        except ReservationRefused as exc:
            settled = self._store.reject(order.id, exc.refusal)
        except Unavailable:  # product-service, or user-service for the token to call it with
            settled = self._store.fail(order.id)
        else:
            settled = self._store.confirm(order, reserved)
        return settled or self._read_again(order.id)

    def _advance(self, order_id: str, owner: str | None, start: str, end: str, kind: str) -> Order:
        order = self.get(order_id, owner)
        if order.status == start:  # what the event tells of an order does not change from here on
            moved = self._store.advance(order, start, end, kind, uuid.uuid4().hex, release=end == CANCELLED)
            if moved is not None:
                return moved
            order = self._read_again(order_id)
        raise WrongState(f"The order is {order.status}; only a {start} one can be {end}.")

    def _read_again(self, order_id: str) -> Order:
        return self.get(order_id, None)


def fingerprint(items: Iterable[Item]) -> str:
    """Return a digest of what is ordered, to tell another body under the same idempotency key."""
    return hashlib.sha256(json.dumps([asdict(item) for item in items], sort_keys=True).encode()).hexdigest()


def _outcome(order: Order, *, replayed: bool) -> Order:
    """Return the order if it was placed. Raises what else its state says."""
    if order.status == REJECTED and order.refusal:
        raise OrderRejected(order.refusal, replayed=replayed)
    if order.status in (FAILED, PENDING):
        raise OrderFailed("The order could not be placed in time. Nothing was ordered; please try again.")
    return order
