"""The values of notification-service: an event, and the notifications of it."""

from dataclasses import dataclass
from datetime import datetime

EMAIL, SMS = "email", "sms"

PENDING, SENDING, SENT, FAILED = "pending", "sending", "sent", "failed"


@dataclass(frozen=True)
class Event:
    """A change of an order, and the buyer as known when the order was placed. Lines and total are texts."""

    id: str
    type: str
    order_id: str
    user_id: str
    email: str
    phone: str | None = None
    lines: tuple[str, ...] = ()
    total: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Notification:
    """A message to a user on one channel. Log lines bind its `request_id`, which is not stored."""

    event_id: str
    event_type: str
    order_id: str
    user_id: str
    channel: str
    recipient: str
    subject: str
    body: str
    request_id: str = ""

    @property
    def id(self) -> str:
        """Return the id, which makes the notification unique: one for each event and channel."""
        return f"{self.event_id}:{self.channel}"


@dataclass(frozen=True, kw_only=True)
class NotificationRecord(Notification):
    """A notification in the history. Its status is `pending`, `sending`, `sent` or `failed`."""

    status: str
    created_at: datetime
