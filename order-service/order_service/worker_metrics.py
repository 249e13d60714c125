"""The metrics of the worker alone. To add one, describe it in `contracts/telemetry.json` too.

Gauges of what waits in the database are the same in all workers: take the largest, not the sum.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chassis.schemas import read_time
from chassis.telemetry import metrics
from order_service.events import TYPES

OUTBOX_EVENTS = metrics.gauge("shop_outbox_events", "Orders whose outbox holds events that wait to be published.")
OUTBOX_OLDEST = metrics.gauge("shop_outbox_oldest_seconds", "The age of the oldest event that waits to be published.")
RELEASES_DUE = metrics.gauge("shop_releases_due", "Orders whose stock waits to be released.")
RELEASES_OLDEST = metrics.gauge("shop_releases_oldest_seconds", "How long the oldest release of stock has waited.")
PAYMENTS_DUE = metrics.gauge("shop_payments_due", "Payments that wait for a look-up or a refund, and are due.")
PAYMENTS_OLDEST = metrics.gauge(
    "shop_payments_oldest_seconds", "How long a payment has been overdue or failing, of the one that waits longest."
)
RECONCILED = metrics.gauge(
    "shop_reconciled_timestamp_seconds", "When the worker last reached the end of the reservations."
)
OUTBOX_DELAY = metrics.histogram(
    "shop_outbox_delay_seconds", "From an event's time to the broker's confirm.", buckets=metrics.DELAYS
)
PUBLISHED = metrics.ByLabel(
    metrics.counter("shop_events_published_total", "Events that the broker has confirmed.", ["type"]), *TYPES
)
PUBLISH_FAILURES = metrics.counter("shop_publish_failures_total", "Batches of events that the broker did not confirm.")
RELEASES = metrics.counter("shop_releases_total", "Releases of stock that the worker has done.")
STRAYS = metrics.ByLabel(
    metrics.counter(
        "shop_stray_reservations_total",
        "Held reservations without an order, or of one that must not hold stock.",
        ["order"],
    ),
    "missing",
    "undone",
)


def count_published(events: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Count events that the broker has confirmed, each with the time that it has waited."""
    for event in events:
        PUBLISHED[event["type"]].inc()
        if time := read_time(event.get("time")):
            OUTBOX_DELAY.observe(max(0.0, (now - time).total_seconds()))
