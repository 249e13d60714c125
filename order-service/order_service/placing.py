"""Placing an order: the saga across order-service and product-service. `tests/model/saga.py` specifies it.

The order is written once, when its outcome is known, under an id that follows from the idempotency key: the unique
`_id` is the compare-and-set between everybody who works on the same order. A request that finds the id taken reads the
order and obeys it. Two rules keep the stock right:

- A duplicate id means only that the order is decided, not how.
- Nobody releases a reservation before an order with a status that is not living is written or read under its id.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Invalid, Problem, Unavailable
from order_service import events
from order_service.model import (
    CONFIRMED,
    FAILED,
    NOT_LIVING,
    REJECTED,
    Answer,
    Buyer,
    Item,
    Order,
    Refusal,
    Reservation,
)

if TYPE_CHECKING:
    from order_service.products import ProductClient
    from order_service.store import OrderStore

ATTEMPTS_READ = 100
NO_NEW_ATTEMPT_AFTER = 4.0  # s; one that begins just before takes about as long again
DECIDING_TRIES, DECIDING_PAUSE = 20, 0.05


class OrderRejected(Problem):
    """Product-service refused the stock. Final: the same key gets the same answer."""

    def __init__(self, refusal: Refusal, *, replayed: bool) -> None:
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        super().__init__(refusal.detail, headers=headers, **refusal.members)
        self.status, self.code, self.title = refusal.status, refusal.code, refusal.title


class OrderFailed(Unavailable):
    """The order was not placed, and stock that was taken for it is released. Safe to repeat."""

    code, title = "order-not-placed", "Order Not Placed"


class KeyReused(Invalid):
    """The idempotency key was used for another order."""

    code, title = "idempotency-key-reused", "Idempotency Key Reused"


class Placement:
    """One request to place an order. With an idempotency key, `attempt` 0, 1, ... leads to the same ids everywhere."""

    def __init__(
        self,
        store: "OrderStore",
        products: "ProductClient",
        clock: Callable[[], datetime],
        buyer: Buyer,
        items: tuple[Item, ...],
        key: str | None,
    ) -> None:
        self._store = store
        self._products = products
        self._clock = clock
        self._buyer = buyer
        self._items = items
        self._key = key
        self._fingerprint = fingerprint(items)
        self._source = f"{buyer.id} {key}" if key else uuid.uuid4().hex
        self._outage = Unavailable()

    def run(self) -> tuple[Order, bool]:
        """Return the order, and whether it is the answer to an earlier request with the same key.

        Raises OrderRejected, OrderFailed, KeyReused, Unavailable.
        """
        attempt, deadline = 0, time.monotonic() + NO_NEW_ATTEMPT_AFTER
        while True:
            order_id = self._order_id(attempt)
            reservation = self._reserve(order_id)
            order, is_new = self._decide(order_id, reservation)
            if order.status == FAILED:
                attempt, later = self._go_on(attempt, order, reservation.answer)
                if later is None:
                    if time.monotonic() < deadline:
                        continue
                    raise _not_placed()
                order, is_new = later, False
            elif order.status in NOT_LIVING and reservation.answer in (Answer.TAKEN, Answer.FOUND):
                with suppress(Unavailable):  # the worker's comparison finds what stays behind
                    self._products.release(order_id)
            return self._replied(order, replayed=not is_new and self._key is not None)

    def _order_id(self, attempt: int) -> str:
        return hashlib.sha256(f"{self._source} {attempt}".encode()).hexdigest()[:32]

    def _reserve(self, order_id: str) -> Reservation:
        try:
            return self._products.reserve(order_id, self._items)
        except Unavailable as exc:  # product-service, or user-service for the token to call it with
            self._outage = exc
            return Reservation(Answer.UNKNOWN)

    def _decide(self, order_id: str, reservation: Reservation) -> tuple[Order, bool]:
        """Return the order that is written under the id, and whether this call has written it.

        Raises KeyReused or Unavailable where there is none and this request must not write one.
        """
        if reservation.answer in (Answer.TAKEN, Answer.REFUSED) and (order := self._insert(order_id, reservation)):
            return order, True
        for _ in range(DECIDING_TRIES):
            if found := self._store.read(order_id):
                return found, False
            if reservation.answer is Answer.DIFFERS:
                raise _key_reused()
            if reservation.answer is Answer.UNKNOWN and self._key is not None:
                raise self._outage  # nothing is written: a repeat goes on with the same id
            if order := self._insert(order_id, reservation):
                return order, True
            time.sleep(DECIDING_PAUSE)  # taken, and by a write that the majority does not have yet
        raise Unavailable("Another request is writing this order.")

    def _insert(self, order_id: str, reservation: Reservation) -> Order | None:
        """Write the order that follows from an answer, and return it; None if its id is taken."""
        order = self._drafted(order_id, reservation)
        return order if self._store.insert(order) else None

    def _drafted(self, order_id: str, reservation: Reservation) -> Order:
        """Return the order as it is to be written after this answer."""
        now = self._clock()
        if reservation.answer in (Answer.RELEASED, Answer.UNKNOWN, Answer.DIFFERS):
            return failed_order(order_id, now)
        asked = Order(
            order_id,
            REJECTED,
            now,
            now,
            user=self._buyer,
            items=self._items,
            key=self._key,
            fingerprint=self._fingerprint,
            refusal=reservation.refusal,
        )
        if reservation.answer is Answer.REFUSED:
            return asked
        total = sum(line.unit_price * line.quantity for line in reservation.lines)
        known = {"status": CONFIRMED, "lines": reservation.lines, "currency": reservation.currency, "total": total}
        confirmed = replace(asked, **known)  # type: ignore[arg-type]
        return replace(confirmed, outbox=(events.order_event(events.ORDER_CREATED, confirmed, now),))

    def _go_on(self, attempt: int, failed: Order, answer: Answer) -> tuple[int, Order | None]:
        """Return the first attempt after a failed one that has not failed, with its order if there is one.

        The stock of the failed ones is released first, lest it be missing to the next attempt. Raises Unavailable
        where that cannot be done now, and OrderFailed without a key, as there is no next attempt then.
        """
        if self._key is None:
            raise _not_placed()
        if answer not in (Answer.RELEASED, Answer.UNKNOWN):
            self._products.release(failed.id)
        while True:
            ids = [self._order_id(attempt + number) for number in range(1, ATTEMPTS_READ + 1)]
            orders = self._store.attempts(ids)
            for order_id in ids:
                attempt, order = attempt + 1, orders.get(order_id)
                if order is None and answer is Answer.UNKNOWN:
                    raise self._outage
                if order is None or order.status != FAILED:
                    return attempt, order
                if order.release and answer is not Answer.UNKNOWN:
                    self._products.release(order_id)

    def _replied(self, order: Order, *, replayed: bool) -> tuple[Order, bool]:
        if order.fingerprint != self._fingerprint:
            raise _key_reused()
        if order.status == REJECTED and order.refusal:
            raise OrderRejected(order.refusal, replayed=replayed)
        return order, replayed


def failed_order(order_id: str, now: datetime) -> Order:
    """Return the note that nothing was ordered under an id; its stock is to be released."""
    return Order(order_id, FAILED, now, now, release=True)


def fingerprint(items: Iterable[Item]) -> str:
    """Return a digest of what is ordered, to recognise another body under the same idempotency key."""
    return hashlib.sha256(json.dumps([asdict(item) for item in items], sort_keys=True).encode()).hexdigest()


def _key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for another order.")


def _not_placed() -> OrderFailed:
    return OrderFailed("The order could not be placed in time. Nothing was ordered; please try again.")
