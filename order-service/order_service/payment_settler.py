"""Settles payments in the worker: what a crash or a lost answer left open, refunds, and unpaid orders."""

import logging
import time
from dataclasses import dataclass

from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from order_service.model import Order
from order_service.payment.provider import PaymentPending, ProviderUnavailable
from order_service.payments import Payments
from order_service.store import PaymentStore
from order_service.timings import Timings

BATCH = 100
MAX_FAILURES = 3  # in a row; then the provider gets a pause

log = logging.getLogger(__name__)


@dataclass
class PaymentSettler:
    """Settles the payments that are due. Everything is safe to do twice, so several workers need no coordination.

    A payment that fails waits for some seconds. After several failures in a row, or a slow one, the provider gets a
    pause. Meanwhile unpaid orders still expire, and events need not wait.
    """

    payments: Payments
    store: PaymentStore
    misconfigurations: Misconfigurations
    timings: Timings
    next_run: float = 0.0
    pause_until: float = 0.0
    failures: int = 0

    def settle_due(self) -> bool:
        """Settle for about a second; return whether more may be due. Raises Unavailable if the database is away.

        Without a provider it only looks now and then whether somebody should set it again: money may be open.
        """
        has_provider = self.payments.provider is not None
        if not has_provider and time.monotonic() < self.next_run:
            return False
        self.next_run = time.monotonic() + self.timings.check_in_outage_every
        orders = self.store.due(BATCH, unsettled_only=not has_provider)
        self._settle_all(orders)
        return has_provider and len(orders) == BATCH

    def _settle_all(self, orders: list[Order]) -> None:
        waiting, end = [], time.monotonic() + self.timings.settle_budget
        for order in orders:
            if self.payments.needs_provider(order) and time.monotonic() < self.pause_until:
                waiting.append(order.id)
            elif time.monotonic() < end:
                self._settle(order)
        if waiting:
            self.store.delay(waiting, self.timings.settle_retry_delay)

    def _settle(self, order: Order) -> None:
        started, delay = time.monotonic(), self.timings.settle_retry_delay
        used = order.payment.provider if order.payment else "-"
        try:
            with self.misconfigurations.watch(f"payments through {used}"):
                self.payments.settle(order)
        except PaymentPending as exc:
            log.info("a payment is not decided yet: %s", exc.detail, extra={"order_id": order.id})
            delay = self.timings.pending_retry_delay
        except ProviderUnavailable as exc:
            log.warning("a payment waits to be settled: %s", exc.detail, extra={"order_id": order.id})
            self._note_failure(started)
        except Unavailable:
            raise
        except Exception as exc:
            log.error("a payment waits to be settled: unexpected error", exc_info=exc, extra={"order_id": order.id})
            delay = self.timings.pending_retry_delay
        else:
            self.failures = 0
            return
        self.store.delay([order.id], delay)

    def _note_failure(self, started: float) -> None:
        self.failures += 1
        now = time.monotonic()
        if self.failures >= MAX_FAILURES or now - started > self.timings.settle_budget:
            self.pause_until, self.failures = now + self.timings.settle_retry_delay, 0
