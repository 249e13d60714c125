"""Settles payments in the worker: what a crash or a lost answer left open, refunds, and unpaid orders."""

import logging
import time
from dataclasses import dataclass

from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from order_service.model import Order
from order_service.payments import Payments
from order_service.store import PaymentStore
from order_service.timings import Timings

BATCH = 100
MAX_FAILURES = 3  # in a row; then the provider gets a pause
PAYMENT_PROVIDER = "the payment provider"

log = logging.getLogger(__name__)


@dataclass
class PaymentSettler:
    """Settles the payments that are due. Everything is safe to do twice, so several workers need no coordination."""

    payments: Payments
    store: PaymentStore
    misconfigurations: Misconfigurations
    timings: Timings
    next_run: float = 0.0

    def settle_due(self) -> bool:
        """Settle for about a second; return whether more may be due. Raises Unavailable if the database is away.

        A failed payment waits for some seconds. After several failures in a row, or slow ones, all payments wait: the
        provider is away, and events must not wait for it.
        """
        if time.monotonic() < self.next_run:
            return False
        orders = self.store.due(BATCH)
        end, failures = time.monotonic() + self.timings.settle_budget, 0
        for order in orders:
            failures = 0 if self._settle(order) else failures + 1
            is_late = time.monotonic() > end
            if failures >= MAX_FAILURES or (failures and is_late):
                self.next_run = time.monotonic() + self.timings.settle_retry_delay
            if failures >= MAX_FAILURES or is_late:
                break
        return len(orders) == BATCH

    def _settle(self, order: Order) -> bool:
        try:
            with self.misconfigurations.watch(PAYMENT_PROVIDER):
                self.payments.settle(order)
        except Unavailable as exc:
            log.warning("a payment waits to be settled: %s", exc.detail, extra={"order_id": order.id})
            self.store.delay(order.id, self.timings.settle_retry_delay)
            return False
        return True
