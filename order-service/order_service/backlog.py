"""The backlog: how much waits in the database for the worker."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from order_service.store import OrderStore, Outbox, PaymentStore
from order_service.timings import Timings
from order_service.worker_metrics import (
    OUTBOX_EVENTS,
    OUTBOX_OLDEST,
    PAYMENTS_DUE,
    PAYMENTS_OLDEST,
    RELEASES_DUE,
    RELEASES_OLDEST,
)


@dataclass
class Backlog:
    """Shows the backlog as metrics."""

    outbox: Outbox
    store: OrderStore
    payments: PaymentStore
    clock: Callable[[], datetime]
    timings: Timings
    next_run: float = 0.0

    def measure_if_due(self) -> None:
        """Measure the backlog every few seconds. Raises Unavailable if the database is away.

        Then the metrics keep their values: nobody can add work to a database that is away, or do any. To show nothing
        would end the alerts that its backlog has raised, just when it gets worse. The outage has a metric of its own.
        """
        if time.monotonic() < self.next_run:
            return
        self.next_run = time.monotonic() + self.timings.measure_every
        events, oldest_event = self.outbox.waiting()
        OUTBOX_EVENTS.set(events)
        OUTBOX_OLDEST.set(self._age(oldest_event))
        releases, oldest_release = self.store.waiting_releases()
        RELEASES_DUE.set(releases)
        RELEASES_OLDEST.set(self._age(oldest_release))
        PAYMENTS_DUE.set(self.payments.count_due(within=self.timings.settle_retry_delay))
        PAYMENTS_OLDEST.set(self._age(self.payments.oldest_due()))

    def _age(self, since: datetime | None) -> float:
        """Return how many seconds ago a time was, 0 without one."""
        return max(0.0, (self.clock() - since).total_seconds()) if since else 0.0
