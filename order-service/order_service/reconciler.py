"""Repairs between order-service and product-service: releases of stock, and the comparison of both sides.

Everything is safe to do twice. Several workers share the releases, and one of them compares (`sharing`).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from chassis.telemetry import context, tracing
from order_service import worker_metrics
from order_service.model import NOT_HOLDING_STOCK, IdRange
from order_service.new_order import failed_order
from order_service.product_client import ProductClient
from order_service.store import OrderStore, ReconciliationCursor
from order_service.timings import Timings

PRODUCT_SERVICE = "product-service"

log = logging.getLogger(__name__)


@dataclass
class StockReleaser:
    """Releases the stock of orders whose release is due: the compensation of the saga."""

    store: OrderStore
    products: ProductClient
    misconfigurations: Misconfigurations
    timings: Timings
    batch: int = 100

    def release_due(self, ids: IdRange) -> bool:
        """Release for about a second; return whether more may be due. Raises Unavailable if the database is away."""
        due = self.store.due_releases(ids, self.batch)
        order_ids = list(due)
        end = time.monotonic() + self.timings.release_budget
        for number, order_id in enumerate(order_ids):
            try:
                self._release(order_id, due[order_id])
            except Unavailable as exc:
                log.warning("stock waits to be released: %s", exc.detail)
                delay = self.timings.release_retry_delay
                self.store.delay_releases(order_ids[number + 1 :], delay)
                self.store.delay_releases([order_id], delay + 1)  # behind the others: it may always fail
                break
            if self.store.mark_released(order_id):
                worker_metrics.RELEASES.inc()
            if time.monotonic() > end:
                break
        return len(order_ids) == self.batch

    def _release(self, order_id: str, traceparent: str | None) -> None:
        cause = context.read({"traceparent": traceparent})
        with (
            tracing.follow_up("release stock", cause, {"shop.order.id": order_id}),
            self.misconfigurations.watch(PRODUCT_SERVICE),
        ):
            self.products.release(order_id)


@dataclass
class Reconciler:
    """Compares held reservations with orders, oldest first, from a saved cursor on.

    A reservation without an order gets a failed order. If the order must not hold stock, its release becomes due.
    """

    store: OrderStore
    cursor: ReconciliationCursor
    products: ProductClient
    clock: Callable[[], datetime]
    misconfigurations: Misconfigurations
    timings: Timings
    next_run: float = 0.0

    def run_if_due(self) -> None:
        """Every few seconds compare all new reservations: one page per round, so that events need not wait for all."""
        if time.monotonic() < self.next_run:
            return
        try:
            if self.compare_page(self.timings.reconcile_age) is not None:
                return
            worker_metrics.RECONCILED.set_to_current_time()
            self.cursor.step_back()
        except Unavailable as exc:
            log.warning("reconciliation waits: %s", exc.detail)
        self.next_run = time.monotonic() + self.timings.reconcile_every

    def compare_page(self, min_age: float) -> int | None:
        """Compare the next page of reservations of at least this age (s); return the number of strays, None at the end.

        A stray is held, but has no order that may hold stock. Raises Unavailable; the next call then compares the same
        page again.
        """
        cursor = self.cursor.read()
        with self.misconfigurations.watch(PRODUCT_SERVICE), context.use(context.new()):  # not recorded: it is routine
            reservations, next_cursor = self.products.reservations(older_than=min_age, cursor=cursor)
        held = [order_id for order_id, state in reservations if state == "held"]
        statuses = self.store.statuses(held) if held else {}
        strays = [order_id for order_id in held if statuses.get(order_id) in (None, *NOT_HOLDING_STOCK)]
        for order_id in strays:
            self._settle(order_id, statuses.get(order_id))
        if next_cursor is None:
            return None
        self.cursor.save(next_cursor, previous=cursor)
        return len(strays)

    def _settle(self, order_id: str, status: str | None) -> None:
        """Make the release of a stray due. The release itself comes later: its failure must not stop the next pages."""
        if status is None and self.store.create(failed_order(order_id, self.clock())):  # this makes its release due
            worker_metrics.STRAYS["missing"].inc()
            log.warning("a reservation has no order: a failed order is noted", extra={"order_id": order_id})
        elif self.store.make_release_due(order_id):
            worker_metrics.STRAYS["undone"].inc()
            log.warning("the order of a reservation must not hold stock: release due", extra={"order_id": order_id})
