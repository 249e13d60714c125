"""The outbox relay: publishes the events that wait in the outboxes of orders."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chassis.misconfigurations import Misconfigurations
from order_service import worker_metrics
from order_service.model import IdRange, Order
from order_service.publisher import BrokerMisconfigured, BrokerUnavailable, Publisher
from order_service.store import Outbox
from order_service.timings import Timings

PUBLISHING = "publishing events"

log = logging.getLogger(__name__)


@dataclass
class OutboxRelay:
    """Publishes due events. An event leaves its outbox only when the broker has confirmed it: at least once."""

    outbox: Outbox
    publisher: Publisher
    clock: Callable[[], datetime]
    misconfigurations: Misconfigurations
    timings: Timings
    batch: int  # orders whose events share one write to RabbitMQ's disk and one to MongoDB
    check_at: float = 0.0
    is_checked: bool = False
    is_failing: bool = False

    def publish_due(self, ids: IdRange) -> bool:
        """Publish a batch of events; return whether more may be due. Raises Unavailable if the database is away."""
        orders = self.outbox.due_orders(ids, self.batch)
        self._publish([order for order in orders if order.outbox])
        for order in orders:
            if not order.outbox:
                self.outbox.clear_due(order.id)
        return len(orders) == self.batch

    def check(self) -> None:
        """Find out at the start, and again after a refusal, whether RabbitMQ lets this worker publish."""
        if time.monotonic() < self.check_at:
            return
        self.check_at = time.monotonic() + self.timings.check_in_outage_every
        try:
            self.publisher.check()
        except BrokerUnavailable as exc:
            if isinstance(exc, BrokerMisconfigured) or not self.is_checked:
                self._note_failure(exc)
        else:
            self.misconfigurations.remove(PUBLISHING)
            self.is_failing = False
            self.check_at = float("inf")
        self.is_checked = True

    def _publish(self, orders: list[Order]) -> None:
        if not orders:
            return
        try:
            self.publisher.publish(event for order in orders for event in order.outbox)
        except BrokerUnavailable as exc:
            worker_metrics.PUBLISH_FAILURES.inc()
            self._note_failure(exc)
            self.is_failing = True
            self.check_at = min(self.check_at, time.monotonic() + self.timings.check_in_outage_every)
            self.outbox.delay([order.id for order in orders], self.timings.publish_retry_delay)
        else:
            self.misconfigurations.remove(PUBLISHING)
            self.is_failing = False
            worker_metrics.count_published((event for order in orders for event in order.outbox), self.clock())
            self.outbox.mark_published(orders)

    def _note_failure(self, exc: BrokerUnavailable) -> None:
        if isinstance(exc, BrokerMisconfigured):
            self.misconfigurations.add(PUBLISHING, f"events wait in the outbox. {exc}")
            self.check_at = time.monotonic() + self.timings.check_every
        else:
            log.warning("events wait in the outbox until RabbitMQ is back: %s", exc)
