"""The values of order-service: an order, its parts, its statuses, and the results of reservations."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

CONFIRMED, SHIPPED, DELIVERED = "confirmed", "shipped", "delivered"
REJECTED, FAILED, CANCELLED = "rejected", "failed", "cancelled"

NOT_HOLDING_STOCK = (REJECTED, FAILED, CANCELLED)
"""An order with one of these statuses must not hold stock. An order with any other status holds the stock it took."""


@dataclass(frozen=True)
class Buyer:
    """The user who ordered, with the contact data of that moment."""

    id: str
    email: str | None
    phone: str | None


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

    A `failed` order is a note that an attempt is over: it has neither user nor items.
    """

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    user: Buyer | None = None
    items: tuple[Item, ...] = ()
    lines: tuple[Line, ...] = ()
    total: int | None = None
    currency: str | None = None
    refusal: Refusal | None = None
    key: str | None = None
    fingerprint: str = ""
    outbox: tuple[dict[str, Any], ...] = ()  # the events to publish
    release_due: bool = False  # its stock must still be released


def merge_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Sum the quantities per product, in the order in which the products first appear."""
    quantities: Counter[str] = Counter()
    for item in items:
        quantities[item.product_id] += item.quantity
    return tuple(Item(product_id, quantity) for product_id, quantity in quantities.items())
