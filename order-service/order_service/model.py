"""The values of order-service: an order, its parts, its statuses, and the results of reservations."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from order_service.payment.model import Payment

CONFIRMED, PAID, SHIPPED, DELIVERED = "confirmed", "paid", "shipped", "delivered"
REJECTED, FAILED, CANCELLED = "rejected", "failed", "cancelled"

NOT_HOLDING_STOCK = (REJECTED, FAILED, CANCELLED)
"""An order with one of these statuses must not hold stock. An order with any other status holds the stock it took."""

CUSTOMER, ADMIN, SYSTEM = "customer", "admin", "system"
"""The actors who move an order to a status. A buyer acts as customer, even an administrator who buys."""


@dataclass(frozen=True)
class Buyer:
    """The user who ordered, with the contact data of that moment."""

    id: str
    email: str | None
    phone: str | None


@dataclass(frozen=True)
class OrderRequest:
    """A buyer's request for an order: merged items, and the address to ship them to. `key` is the idempotency key."""

    buyer: Buyer
    items: tuple["Item", ...]
    key: str | None = None
    shipping_address: "Address | None" = None
    note: str | None = None


@dataclass(frozen=True)
class OrderFilter:
    """Which orders to list: of one buyer, with one status, placed from `created_after` on and before `created_before`.

    None means all.
    """

    owner: str | None = None
    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class IdRange:
    """The orders whose ids are at least `first` and below `end`; None means no limit."""

    first: str = ""
    end: str | None = None


ALL_ORDERS, NO_ORDERS = IdRange(), IdRange("0", "0")


@dataclass(frozen=True)
class Item:
    """Some units of a product, as requested."""

    product_id: str
    quantity: int


@dataclass(frozen=True)
class Line:
    """Some units of a product with the name and unit price (minor units) that product-service gave."""

    product_id: str
    name: str
    unit_price: int
    quantity: int


@dataclass(frozen=True)
class Refusal:
    """Why an order was rejected: the problem that the caller got, kept so that a repeat gets the same one."""

    status: int
    code: str
    title: str
    detail: str
    members: dict[str, Any]

    @property
    def type(self) -> str:
        """Return the problem's type."""
        return self.code

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the lines with too little stock: product id, requested and available units."""
        return list(self.members.get("lines", ()))


@dataclass(frozen=True)
class Address:
    """Where to ship an order. `country` is an ISO 3166-1 alpha-2 code."""

    name: str
    line1: str
    city: str
    country: str
    line2: str | None = None
    region: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True)
class Tracking:
    """How to follow the parcel."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class HistoryEntry:
    """A status that an order got, when, and by whom."""

    status: str
    at: datetime
    by: str


class Outcome(Enum):
    """How a request to reserve the stock of an order ends."""

    RESERVED = auto()  # 201: the stock was taken just now
    ALREADY_RESERVED = auto()  # 200: it was taken before, with the same lines
    REFUSED = auto()  # 409, 422: too little stock, or an unknown product; recorded, and so final for this id
    MISMATCH = auto()  # 409: the id has a reservation with other lines
    RELEASED = auto()  # 409: the reservation was released; its tombstone refuses a new one
    UNKNOWN = auto()  # no answer in time: the request may still arrive


@dataclass(frozen=True)
class ReservationResult:
    """The answer of product-service. A reservation has lines and a currency, a refused request has a refusal."""

    outcome: Outcome
    lines: tuple[Line, ...] = ()
    currency: str | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Order:
    """An order, with its total in minor units of `currency`. A rejected order has no lines, total and currency.

    A `failed` order is a note that an attempt is over: it has neither buyer nor items.
    """

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    buyer: Buyer | None = None
    items: tuple[Item, ...] = ()
    lines: tuple[Line, ...] = ()
    total: int | None = None
    currency: str | None = None
    refusal: Refusal | None = None
    key: str | None = None
    fingerprint: str = ""
    shipping_address: Address | None = None
    note: str | None = None
    tracking: Tracking | None = None
    payment: Payment | None = None
    pay_by: datetime | None = None  # unpaid at this time, it is cancelled
    history: tuple[HistoryEntry, ...] = ()
    outbox: tuple[dict[str, Any], ...] = ()  # the events to publish
    release_due: bool = False  # its stock must still be released
    traceparent: str | None = None  # where in a recorded trace it was placed, for traces of what follows much later


def merge_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Sum the quantities per product, in the order in which the products first appear."""
    quantities: Counter[str] = Counter()
    for item in items:
        quantities[item.product_id] += item.quantity
    return tuple(Item(product_id, quantity) for product_id, quantity in quantities.items())


def known_fields(value: object) -> dict[str, Any]:
    """Return the fields of a value that are not None, none if there is no value."""
    return {name: field for name, field in vars(value).items() if field is not None} if value else {}
