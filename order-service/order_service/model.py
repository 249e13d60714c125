"""The values of order-service: an order, its parts and its states."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PENDING, CONFIRMED, SHIPPED, DELIVERED = "pending", "confirmed", "shipped", "delivered"
REJECTED, FAILED, CANCELLED = "rejected", "failed", "cancelled"

LIVING = (PENDING, CONFIRMED, SHIPPED, DELIVERED)
"""An order in one of these states may hold stock; any other must not."""


@dataclass(frozen=True)
class Buyer:
    """Who ordered, as known at that moment."""

    id: str
    email: str | None
    phone: str | None


@dataclass(frozen=True)
class Item:
    """Some units of a product, as asked for."""

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
    """Why an order was rejected: the problem that was answered, so that a repeat is answered alike."""

    status: int
    code: str
    title: str
    detail: str
    members: dict[str, Any]


@dataclass(frozen=True)
class Reserved:
    """The lines of an order with the prices at which their stock was taken."""

    lines: tuple[Line, ...]
    currency: str


class ReservationRefused(Exception):
    """Product-service refused for good: too little stock, or an unknown product. Repeating is pointless."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


@dataclass(frozen=True)
class Order:
    """An order; its total is in minor units of `currency`. Lines, total and currency are known once it is confirmed."""

    id: str
    status: str
    user: Buyer
    items: tuple[Item, ...]
    lines: tuple[Line, ...]
    total: int | None
    currency: str | None
    refusal: Refusal | None
    fingerprint: str
    outbox: tuple[dict[str, Any], ...]
    release: bool
    created_at: datetime
    updated_at: datetime


def summed(items: Iterable[Item]) -> tuple[Item, ...]:
    """Sum the items per product, in the order in which the products are first named."""
    totals: Counter[str] = Counter()
    for item in items:
        totals[item.product_id] += item.quantity
    return tuple(Item(product_id, quantity) for product_id, quantity in totals.items())
