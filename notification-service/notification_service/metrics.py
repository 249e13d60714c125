"""The metrics of the consumer. To add one, describe it in `contracts/telemetry.json` too."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import product

from chassis.errors import Unavailable
from chassis.telemetry import metrics
from notification_service.delivery import Disposition
from notification_service.model import EMAIL, SMS, Notification

MESSAGES = metrics.ByLabel(
    metrics.counter("shop_messages_total", "Messages by what the consumer did with them.", ["disposition"]),
    *(disposition.name.lower() for disposition in Disposition),
)
NOTIFICATIONS = metrics.ByLabel(
    metrics.counter("shop_notifications_total", "Attempts to send a notification.", ["channel", "outcome"]),
    *product((EMAIL, SMS), ("sent", "failed", "rejected")),
)
DELAY = metrics.ByLabel(
    metrics.histogram(
        "shop_notification_delay_seconds",
        "From an event's time to its notification being sent.",
        ["channel"],
        buckets=metrics.DELAYS,
    ),
    EMAIL,
    SMS,
)


def count_sent(notification: Notification, clock: Callable[[], datetime]) -> None:
    """Count a notification that was sent, with the time since its event. It never raises: what is sent is sent."""
    NOTIFICATIONS[notification.channel, "sent"].inc()
    if notification.occurred_at:
        with suppress(Unavailable):
            DELAY[notification.channel].observe(max(0.0, (clock() - notification.occurred_at).total_seconds()))


def count_not_sent(notification: Notification, disposition: Disposition) -> None:
    """Count an attempt that has failed."""
    outcome = "rejected" if disposition is Disposition.DEAD_LETTER else "failed"
    NOTIFICATIONS[notification.channel, outcome].inc()


def count_messages(disposition: Disposition, number: int = 1) -> None:
    """Count messages that were settled."""
    MESSAGES[disposition.name.lower()].inc(number)
