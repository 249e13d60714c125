"""Placing an order: the saga across order-service and product-service. `tests/model/saga.py` specifies it.

The order is written once, when its outcome is known. Its id follows from the idempotency key. The unique `_id` is the
compare-and-set between all requests and workers for the same order: a request that finds the id taken reads the order
and obeys it. Two rules keep the stock right:

- A duplicate id says only that the order is decided, not how.
- A process releases a reservation only after it has written or read an order with its id that must not hold stock.
"""

import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, Invalid, Problem, Unavailable
from order_service import metrics
from order_service.model import (
    FAILED,
    NOT_HOLDING_STOCK,
    Order,
    OrderRequest,
    Outcome,
    ReservationResult,
)
from order_service.new_order import fingerprint, new_order
from order_service.payment.model import PaymentTerms

if TYPE_CHECKING:
    from order_service.product_client import ProductClient
    from order_service.store import OrderStore

ATTEMPTS_PER_QUERY = 100
NO_NEW_ATTEMPT_AFTER = 4.0  # s; an attempt that begins just before may take 4 s more
MAJORITY_READ_TRIES, MAJORITY_READ_PAUSE = 20, 0.05  # a second in all, for a write to reach the majority
KEY_REUSED = "This Idempotency-Key was used for another order. Use a new key for a new order."
NOT_PLACED = "The order could not be placed in time. Nothing was ordered; please try again."


class InsufficientStock(Conflict):
    """A product has too little stock; `lines` says how much. Final: a repeat with the same key fails too."""

    code, title = "insufficient-stock", "Insufficient Stock"


class UnknownProduct(Invalid):
    """A product is not for sale; `errors` names it. Final: a repeat with the same key fails too."""

    code, title = "unknown-product", "Unknown Product"


REJECTIONS: dict[str, type[Problem]] = {problem.code: problem for problem in (InsufficientStock, UnknownProduct)}


class OrderFailed(Unavailable):
    """The order was not placed; its stock is released, by the worker at the latest. Safe to repeat."""

    code, title = "order-not-placed", "Order Not Placed"


class KeyReused(Invalid):
    """The idempotency key was used for another order."""

    code, title = "idempotency-key-reused", "Idempotency Key Reused"


@dataclass
class Placement:
    """One request to place an order. All processes derive the same order ids from a key and its attempts 0, 1, ..."""

    store: "OrderStore"
    products: "ProductClient"
    clock: Callable[[], datetime]
    terms: PaymentTerms
    request: OrderRequest

    def __post_init__(self) -> None:
        self.key = self.request.key
        self._id_source = f"{self.request.buyer.id} {self.key}" if self.key else uuid.uuid4().hex
        self._outage = Unavailable()

    def run(self) -> tuple[Order, bool]:
        """Return the order, and whether it answers an earlier request with the same key.

        Raises InsufficientStock, UnknownProduct, OrderFailed, KeyReused, Unavailable.
        """
        attempt, deadline = 0, time.monotonic() + NO_NEW_ATTEMPT_AFTER
        while True:
            order_id = self._order_id(attempt)
            result = self._reserve(order_id)
            order, is_new = self._write_or_read(order_id, result)
            if order.status != FAILED:
                self._release_unneeded(order, result.outcome)
                return self._reply(order, replayed=not is_new and self.key is not None)
            attempt, later_order = self._next_attempt(attempt, order, result.outcome)
            if later_order is not None:
                return self._reply(later_order, replayed=True)
            if time.monotonic() >= deadline:
                raise OrderFailed(NOT_PLACED)

    def _order_id(self, attempt: int) -> str:
        return hashlib.sha256(f"{self._id_source} {attempt}".encode()).hexdigest()[:32]

    def _reserve(self, order_id: str) -> ReservationResult:
        try:
            return self.products.reserve(order_id, self.request.items)
        except Unavailable as exc:  # product-service, or user-service, which gives the token for it
            self._outage = exc
            return ReservationResult(Outcome.UNKNOWN)

    def _write_or_read(self, order_id: str, result: ReservationResult) -> tuple[Order, bool]:
        """Return the order under the id, and whether this call has written it.

        Raises KeyReused or Unavailable if there is no order and this request must not write it.
        """
        is_decided = result.outcome in (Outcome.RESERVED, Outcome.REFUSED)
        if is_decided and (order := self._write(order_id, result)):
            return order, True
        for _ in range(MAJORITY_READ_TRIES):
            if existing := self.store.find(order_id):
                return existing, False
            if result.outcome is Outcome.MISMATCH:
                raise KeyReused(KEY_REUSED)
            if result.outcome is Outcome.UNKNOWN and self.key is not None:
                raise self._outage  # nothing is written, so a repeat continues with the same id
            if order := self._write(order_id, result):
                return order, True
            time.sleep(MAJORITY_READ_PAUSE)  # the id is taken, by a write that the majority does not have yet
        raise Unavailable("Another request is writing this order; please try again.")

    def _write(self, order_id: str, result: ReservationResult) -> Order | None:
        """Write the order that follows from a result, and return it; None if its id is taken."""
        order = new_order(order_id, self.request, result, self.clock(), self.terms)
        return order if self.store.create(order) else None

    def _release_unneeded(self, order: Order, outcome: Outcome) -> None:
        """Release the stock that this request has reserved, if the order must not hold it."""
        if order.status in NOT_HOLDING_STOCK and outcome in (Outcome.RESERVED, Outcome.ALREADY_RESERVED):
            with suppress(Unavailable):  # the worker's reconciliation releases it later
                self.products.release(order.id)

    def _next_attempt(self, attempt: int, failed: Order, outcome: Outcome) -> tuple[int, Order | None]:
        """Skip the failed attempts; return the number of the next attempt, and its order if it has one already.

        The stock of the failed attempts is released first, so that the next attempt can take it. Raises Unavailable if
        the release is impossible now, and OrderFailed if there is no key: then there is no next attempt.
        """
        if self.key is None:
            raise OrderFailed(NOT_PLACED)
        if outcome not in (Outcome.RELEASED, Outcome.UNKNOWN):
            self.products.release(failed.id)
        while True:
            ids = [self._order_id(attempt + number) for number in range(1, ATTEMPTS_PER_QUERY + 1)]
            orders = self.store.find_many(ids)
            for order_id in ids:
                attempt, order = attempt + 1, orders.get(order_id)
                if order is None and outcome is Outcome.UNKNOWN:
                    raise self._outage
                if order is None or order.status != FAILED:
                    return attempt, order
                if order.release_due and outcome is not Outcome.UNKNOWN:
                    self.products.release(order_id)

    def _reply(self, order: Order, *, replayed: bool) -> tuple[Order, bool]:
        if replayed and order.fingerprint != fingerprint(self.request):
            raise KeyReused(KEY_REUSED)
        if replayed:
            metrics.REPLAYS.inc()
        if order.refusal:
            headers = {"Idempotent-Replayed": "true"} if replayed else {}
            raise REJECTIONS[order.refusal.code](order.refusal.detail, headers=headers, **order.refusal.members)
        return order, replayed
