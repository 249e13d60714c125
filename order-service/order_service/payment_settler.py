"""Settles payments in the worker: what a crash or a lost answer left open, refunds, and unpaid orders."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from chassis.telemetry import context, tracing
from order_service.model import IdRange, Order
from order_service.payment.provider import PaymentPending, ProviderUnavailable, RequestRejected
from order_service.payments import Payments
from order_service.store import PaymentStore
from order_service.timings import Timings

MAX_FAILURES = 3  # in a row; then the provider gets a pause

log = logging.getLogger(__name__)


@dataclass
class PaymentSettler:
    """Settles the payments that are due, `concurrent` of them at once. Everything is safe to do twice.

    A payment that fails waits for some seconds. After several failures in a row the provider gets a pause, and after
    it one more failure suffices. Meanwhile unpaid orders still expire, and events need not wait.
    """

    payments: Payments
    store: PaymentStore
    misconfigurations: Misconfigurations
    timings: Timings
    batch: int
    concurrent: int
    next_run: float = 0.0
    pause_until: float = 0.0
    failures: int = 0

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.concurrent, thread_name_prefix="settle")

    def settle_due(self, ids: IdRange) -> bool:
        """Settle for about a second; return whether more may be due. Raises Unavailable if the database is away.

        Without a provider it only looks now and then whether somebody should set it again: money may be open.
        """
        has_provider = self.payments.provider is not None
        if not has_provider and time.monotonic() < self.next_run:
            return False
        self.next_run = time.monotonic() + self.timings.check_in_outage_every
        orders = self.store.due(ids, self.batch, unsettled_only=not has_provider)
        settle = partial(self._settle, end=time.monotonic() + self.timings.settle_budget)
        if waiting := list(filter(None, self._threads.map(settle, orders))):
            self.store.delay_failed(waiting, self.timings.settle_retry_delay)
        return has_provider and len(orders) == self.batch

    def _settle(self, order: Order, end: float) -> str | None:
        """Settle a payment; return its order's id if it must wait for a provider that has a pause."""
        now = time.monotonic()
        if self.payments.needs_provider(order) and now < self.pause_until:
            return order.id
        if now < end:
            self._try(order)
        return None

    def _try(self, order: Order) -> None:
        """Settle a payment, or let it wait if that fails. Raises Unavailable if the database is away."""
        used = order.payment.provider if order.payment else "-"
        cause = context.read({"traceparent": order.traceparent})
        try:
            with (
                tracing.follow_up("settle payment", cause, {"shop.order.id": order.id}),
                self.misconfigurations.watch(f"payments through {used}"),
            ):
                self.payments.settle(order)
        except RequestRejected as exc:
            log.warning("a payment waits to be settled: %s", exc.detail, extra={"order_id": order.id})
            self.store.delay_failed([order.id], self.timings.pending_retry_delay)
        except PaymentPending as exc:
            log.info("a payment is not decided yet: %s", exc.detail, extra={"order_id": order.id})
            self.store.delay(order.id, self.timings.pending_retry_delay)
        except ProviderUnavailable as exc:
            log.warning("a payment waits to be settled: %s", exc.detail, extra={"order_id": order.id})
            self._note_failure()
            self.store.delay_failed([order.id], self.timings.settle_retry_delay)
        except Unavailable:
            raise
        except Exception as exc:
            log.error("a payment waits to be settled: unexpected error", exc_info=exc, extra={"order_id": order.id})
            self.store.delay_failed([order.id], self.timings.pending_retry_delay)
        else:
            if self.payments.needs_provider(order):
                self.failures = 0

    def _note_failure(self) -> None:
        self.failures = min(self.failures + 1, MAX_FAILURES)
        if self.failures == MAX_FAILURES:
            self.pause_until = time.monotonic() + self.timings.settle_retry_delay
