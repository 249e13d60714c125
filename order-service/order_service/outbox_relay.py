"""The outbox relay: publishes the events that wait in the outboxes of orders."""

import logging
import time

from chassis.misconfigurations import Misconfigurations
from order_service.model import Order
from order_service.publisher import BrokerMisconfigured, BrokerUnavailable, Publisher
from order_service.store import Outbox
from order_service.timings import Timings

BATCH = 100  # orders whose events share one write to RabbitMQ's disk and one to MongoDB
PUBLISHING = "publishing events"

log = logging.getLogger(__name__)


class OutboxRelay:
    """Publishes due events. An event leaves its outbox only when the broker has confirmed it: at least once."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        misconfigurations: Misconfigurations,
        timings: Timings,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._misconfigurations = misconfigurations
        self._timings = timings
        self._check_at = 0.0
        self._is_checked = False

    def publish_due(self) -> bool:
        """Publish a batch of events; return whether more may be due. Raises Unavailable if the database is away."""
        orders = self._outbox.due_orders(BATCH)
        self._publish([order for order in orders if order.outbox])
        for order in orders:
            if not order.outbox:
                self._outbox.clear_due(order.id)
        return len(orders) == BATCH

    def check(self) -> None:
        """Find out at the start, and again after a refusal, whether RabbitMQ lets this worker publish."""
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + self._timings.check_in_outage_every
        try:
            self._publisher.check()
        except BrokerUnavailable as exc:
            if isinstance(exc, BrokerMisconfigured) or not self._is_checked:
                self._note_failure(exc)
        else:
            self._misconfigurations.remove(PUBLISHING)
            self._check_at = float("inf")
        self._is_checked = True

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats while there is nothing to publish."""
        self._publisher.keep_alive()

    def close(self) -> None:
        """Close the connection to the broker."""
        self._publisher.close()

    def _publish(self, orders: list[Order]) -> None:
        if not orders:
            return
        try:
            self._publisher.publish(event for order in orders for event in order.outbox)
        except BrokerUnavailable as exc:
            self._note_failure(exc)
            self._outbox.delay([order.id for order in orders], self._timings.publish_retry_delay)
        else:
            self._misconfigurations.remove(PUBLISHING)
            self._outbox.mark_published(orders)

    def _note_failure(self, exc: BrokerUnavailable) -> None:
        if isinstance(exc, BrokerMisconfigured):
            self._misconfigurations.add(PUBLISHING, f"events wait in the outbox. {exc}")
            self._check_at = time.monotonic() + self._timings.check_every
        else:
            log.warning("events wait in the outbox until RabbitMQ is back: %s", exc)
