"""Reservations: the stock taken for an order, all of its lines or none, and given back exactly once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, Invalid
from chassis.paging import Page

if TYPE_CHECKING:
    from product_service.store import ReservationStore

HELD, REFUSED, RELEASED = "held", "refused", "released"


@dataclass(frozen=True)
class Line:
    """Some units of a product, as asked for."""

    product_id: str
    quantity: int


@dataclass(frozen=True)
class PricedLine:
    """Some units of a product with its name and price (minor units) at the moment of the reservation."""

    product_id: str
    name: str
    unit_price: int
    quantity: int


@dataclass(frozen=True)
class Shortage:
    """A line that cannot be had; `available` is None for an unknown product."""

    product_id: str
    requested: int
    available: int | None


@dataclass(frozen=True)
class Reservation:
    """What is recorded under an order's id: stock that is held, a refusal, or that it was released."""

    order_id: str
    state: str
    asked: tuple[Line, ...]
    lines: tuple[PricedLine, ...]
    currency: str | None
    shortages: tuple[Shortage, ...]
    created_at: datetime


class InsufficientStock(Conflict):
    """There is less of a product than asked for; nothing was taken. Final for this order id."""

    code, title = "insufficient-stock", "Insufficient Stock"

    def __init__(self, shortages: Iterable[Shortage]) -> None:
        lines = [vars(s) for s in shortages]
        super().__init__("Not enough stock of: " + ", ".join(line["product_id"] for line in lines) + ".", lines=lines)


class UnknownProduct(Invalid):
    """A line names a product that is not for sale; nothing was taken. Final for this order id."""

    code, title = "unknown-product", "Unknown Product"

    def __init__(self, product_ids: list[str]) -> None:
        errors = [{"field": "product_id", "message": f"there is no product {p!r}"} for p in product_ids]
        super().__init__("Unknown product: " + ", ".join(product_ids) + ".", errors=errors)


class ReservationReleased(Conflict):
    """The reservation was released before; it cannot be made again."""

    code, title = "reservation-released", "Reservation Released"


class OtherLines(Conflict):
    """The order id was used before, with other lines."""

    code, title = "reservation-differs", "Reservation Differs"


class Reservations:
    """The use cases around reservations."""

    def __init__(self, store: "ReservationStore") -> None:
        self._store = store

    def reserve(self, order_id: str, lines: Iterable[Line]) -> tuple[Reservation, bool]:
        """Take the stock of all lines or none, and return the reservation and whether it was made just now.

        A repeat is answered from the record. Raises InsufficientStock, UnknownProduct, ReservationReleased, OtherLines,
        Unavailable.
        """
        asked = summed(lines)
        recorded, made_now = self._store.take(order_id, asked)
        if recorded.state == RELEASED:
            raise ReservationReleased(f"The reservation of order {order_id} was released.")
        if recorded.asked != asked:
            raise OtherLines(f"Order {order_id} has a reservation with other lines.")
        if recorded.state == REFUSED:
            raise refusal(recorded.shortages)
        return recorded, made_now

    def release(self, order_id: str) -> None:
        """Give the stock back, once however often this is called; a reservation that comes later is refused."""
        self._store.give_back(order_id)

    def older_than(self, seconds: float, *, limit: int, cursor: str | None) -> Page[Reservation]:
        """Return a page of the reservations made at least so long ago, oldest first."""
        return self._store.older_than(seconds, limit=limit, cursor=cursor)


def refusal(shortages: Iterable[Shortage]) -> UnknownProduct | InsufficientStock:
    """Return the error that tells why stock was not taken."""
    shortages = tuple(shortages)
    unknown = [s.product_id for s in shortages if s.available is None]
    return UnknownProduct(unknown) if unknown else InsufficientStock(shortages)


def summed(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Sum the lines per product and sort them by id: all transactions touch products in the same order."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line.product_id] += line.quantity
    return tuple(Line(product_id, quantity) for product_id, quantity in sorted(totals.items()))
