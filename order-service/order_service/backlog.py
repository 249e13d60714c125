"""The backlog: how much waits in the database for the worker."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from order_service.store import OrderStore, Outbox, PaymentStore
from order_service.timings import Timings
from order_service.worker_metrics import OUTBOX_EVENTS, OUTBOX_OLDEST, PAYMENTS_DUE, RELEASES_DUE


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
        number, oldest = self.outbox.waiting()
        OUTBOX_EVENTS.set(number)
        OUTBOX_OLDEST.set(max(0.0, (self.clock() - oldest).total_seconds()) if oldest else 0.0)
        RELEASES_DUE.set(self.store.count_releases())
        PAYMENTS_DUE.set(self.payments.count_due(within=self.timings.settle_retry_delay))
