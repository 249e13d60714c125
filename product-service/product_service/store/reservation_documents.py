"""Reservations as MongoDB documents: held stock, a refusal, or the tombstone of a release that came first."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from chassis.mongo import Document
from product_service.model import HELD, REFUSED, RELEASED, Line, PricedLine, Reservation, Shortage

TOMBSTONE_LIFE = timedelta(days=7)  # no request for the same order is later than this


def held(order_id: str, requested: Iterable[Line], products: Mapping[str, Document], now: datetime) -> Document:
    """Return a reservation at the prices of these products."""
    priced = [(line, products[line.product_id]) for line in requested]
    lines = [PricedLine(line.product_id, p["name"], p["price"], line.quantity) for line, p in priced]
    return _document(order_id, HELD, requested, lines, now) | {"currency": priced[0][1]["currency"]}


def refused(order_id: str, requested: Iterable[Line], shortages: Iterable[Shortage], now: datetime) -> Document:
    """Return the record of a refusal."""
    reasons = [vars(shortage) for shortage in shortages]
    return _document(order_id, REFUSED, requested, (), now) | {"shortages": reasons, "expires_at": now + TOMBSTONE_LIFE}


def tombstone(order_id: str, now: datetime) -> Document:
    """Return the record of a release without a reservation."""
    return _document(order_id, RELEASED, (), (), now) | {"expires_at": now + TOMBSTONE_LIFE}


def release(now: datetime) -> Document:
    """Return the update that releases a held reservation."""
    return {"$set": {"state": RELEASED, "expires_at": now + TOMBSTONE_LIFE}}


def _document(
    order_id: str, state: str, requested: Iterable[Line], lines: Iterable[PricedLine], now: datetime
) -> Document:
    return {
        "_id": order_id,
        "state": state,
        "asked": [vars(line) for line in requested],
        "lines": [vars(line) for line in lines],
        "created_at": now,
    }


def quantities(reservation: Document) -> dict[str, int]:
    """Return the units of each product in a reservation."""
    return {line["product_id"]: line["quantity"] for line in reservation["lines"]}


def to_reservation(document: Document) -> Reservation:
    """Return the reservation of a document."""
    return Reservation(
        order_id=document["_id"],
        state=document["state"],
        requested=tuple(Line(**line) for line in document["asked"]),
        lines=tuple(PricedLine(**line) for line in document["lines"]),
        currency=document.get("currency"),
        shortages=tuple(Shortage(**shortage) for shortage in document.get("shortages", ())),
        created_at=document["created_at"],
    )
