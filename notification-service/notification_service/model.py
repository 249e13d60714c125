"""The values of notification-service: an event, the notifications of it, and the shop that sends them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from chassis.schemas import format_money
from chassis.telemetry.context import TraceContext

EMAIL, SMS = "email", "sms"

PENDING, SENDING, SENT, FAILED = "pending", "sending", "sent", "failed"

NOT_STORED = ("request_id", "trace", "occurred_at", "render_html", "record_only")
"""The fields of a notification that its history does not keep."""

POSTAL_CODE_LAST = frozenset({"AU", "CA", "GB", "IE", "IN", "NZ", "SG", "US"})
"""Where the postal code follows the city. Elsewhere it precedes the city."""


@dataclass(frozen=True)
class Money:
    """An amount in minor units of a currency."""

    minor_units: int
    currency: str

    def __str__(self) -> str:
        return f"{format_money(self.minor_units)} {self.currency}"


@dataclass(frozen=True)
class Line:
    """Some units of a product."""

    name: str
    quantity: int
    unit_price: Money | None = None

    @property
    def total(self) -> Money | None:
        """Return the price of all units."""
        price = self.unit_price
        return Money(price.minor_units * self.quantity, price.currency) if price else None


@dataclass(frozen=True)
class Address:
    """Where an order is shipped."""

    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None

    @property
    def lines(self) -> list[str]:
        """Return the known parts as one writes them on a parcel."""
        place = [", ".join(filter(None, (self.city, self.region)))]
        place.insert(1 if self.country in POSTAL_CODE_LAST else 0, self.postal_code or "")
        lines = (self.name, self.line1, self.line2, " ".join(filter(None, place)), self.country)
        return [line for line in lines if line]


@dataclass(frozen=True)
class Tracking:
    """How to follow the parcel. `url` is a link to a web page."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Event:
    """A change of an order, and the buyer as known when the order was placed.

    `payment` is the money that was taken for the order, also where it has been given back. After a restore, an event is
    `record_only` if its buyer was notified before: it completes the history, and nothing is sent.
    """

    id: str
    type: str
    order_id: str
    user_id: str
    email: str
    phone: str | None = None
    lines: tuple[Line, ...] = ()
    total: Money | None = None
    payment: Money | None = None
    shipping_address: Address | None = None
    tracking: Tracking | None = None
    reason: str | None = None
    request_id: str | None = None
    trace: TraceContext | None = None  # of the request that caused it, or of the delivery that is being handled
    occurred_at: datetime | None = None
    record_only: bool = False


@dataclass(frozen=True)
class Shop:
    """The shop as mails name it: its name, and the lines of its postal address."""

    name: str
    address: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notification:
    """A message to a user on one channel, about an event that `occurred_at` a time.

    Log lines bind its `request_id` and its `trace`. A `record_only` one becomes `sent` without being sent.

    `render_html` makes the HTML of an e-mail. Only a channel that sends it calls this: rendering costs time.
    """

    event_id: str
    event_type: str
    order_id: str
    user_id: str
    channel: str
    recipient: str
    subject: str
    body: str
    request_id: str = ""
    trace: TraceContext | None = field(default=None, compare=False, repr=False)
    occurred_at: datetime | None = None
    render_html: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    record_only: bool = False

    @property
    def id(self) -> str:
        """Return the id, which makes the notification unique: one for each event and channel."""
        return f"{self.event_id}:{self.channel}"


@dataclass(frozen=True, kw_only=True)
class NotificationRecord(Notification):
    """A notification in the history. Its status is `pending`, `sending`, `sent` or `failed`."""

    status: str
    created_at: datetime
