"""The values of notification-service: an event, and the notifications that come of it."""

from dataclasses import dataclass
from datetime import datetime

EMAIL, SMS = "email", "sms"

PENDING, SENDING, SENT, FAILED = "pending", "sending", "sent", "failed"


@dataclass(frozen=True)
class Buyer:
    """Who is notified, as known when the order was placed."""

    id: str
    email: str
    phone: str | None = None


@dataclass(frozen=True)
class Event:
    """What happened to an order; lines and total are texts, as far as the event has them."""

    id: str
    type: str
    order_id: str
    user: Buyer
    lines: tuple[str, ...] = ()
    total: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Notification:
    """A message to a user on one channel. Its id, `{event_id}:{channel}`, makes it the only one of its kind."""

    event_id: str
    event_type: str
    order_id: str
    user_id: str
    channel: str
    recipient: str
    subject: str
    body: str

    @property
    def id(self) -> str:
        """Return the id."""
        return f"{self.event_id}:{self.channel}"


@dataclass(frozen=True)
class Recorded:
    """A notification in the history, and how far it is: `pending`, `sending`, `sent` or `failed`."""

    id: str
    event_id: str
    event_type: str
    order_id: str
    channel: str
    recipient: str
    subject: str
    body: str
    status: str
    created_at: datetime
