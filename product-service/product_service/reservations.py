"""Reserving stock for an order: all of its lines or none, and releasing it exactly once."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chassis.paging import Page
from product_service import metrics
from product_service.model import (
    REFUSED,
    RELEASED,
    InsufficientStock,
    Line,
    Reservation,
    ReservationMismatch,
    ReservationReleased,
    Shortage,
    UnknownProduct,
)

if TYPE_CHECKING:  # the core runs without pymongo
    from product_service.store import ReservationStore


class Reservations:
    """The use cases around reservations."""

    def __init__(self, store: "ReservationStore") -> None:
        self._store = store

    def reserve(self, order_id: str, lines: Iterable[Line]) -> tuple[Reservation, bool]:
        """Reserve the stock of all lines or of none. Return the reservation, and whether this call has made it.

        A repeat is answered from the record. Raises InsufficientStock, UnknownProduct, ReservationReleased,
        ReservationMismatch, Unavailable.
        """
        requested = sum_per_product(lines)
        reservation, is_new = self._store.reserve(order_id, requested)
        _count(reservation, requested, is_new)
        if reservation.state == RELEASED:
            raise ReservationReleased(f"The reservation of order {order_id} was released.")
        if reservation.requested != requested:
            raise ReservationMismatch(f"Order {order_id} has a reservation with other lines.")
        if reservation.state == REFUSED:
            raise refusal(reservation.shortages)
        return reservation, is_new

    def release(self, order_id: str) -> None:
        """Return the stock of an order; a repeat changes nothing. A reservation that arrives later is refused."""
        self._store.release(order_id)

    def older_than(self, seconds: float, *, limit: int, cursor: str | None) -> Page[Reservation]:
        """Return a page of the reservations of at least this age, oldest first."""
        return self._store.older_than(seconds, limit=limit, cursor=cursor)


def _count(reservation: Reservation, requested: tuple[Line, ...], is_new: bool) -> None:
    """Count the outcome of a request. A refusal counts once, however often it is repeated."""
    too_little = [shortage for shortage in reservation.shortages if shortage.available is not None]
    if reservation.state == RELEASED or reservation.requested != requested:
        outcome = "conflict"
    elif not is_new:
        outcome = "repeated"
    elif reservation.state == REFUSED:
        outcome = "unknown" if len(too_little) < len(reservation.shortages) else "insufficient"
        metrics.STOCKOUT_LINES.inc(len(too_little))
    else:
        outcome = "held"
    metrics.RESERVATIONS[outcome].inc()


def refusal(shortages: tuple[Shortage, ...]) -> UnknownProduct | InsufficientStock:
    """Return the error for these shortages."""
    unknown = [shortage.product_id for shortage in shortages if shortage.available is None]
    return UnknownProduct(unknown) if unknown else InsufficientStock(shortages)


def sum_per_product(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return one line per product, sorted by id: all transactions write products in the same order."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line.product_id] += line.quantity
    return tuple(Line(product_id, quantity) for product_id, quantity in sorted(totals.items()))
