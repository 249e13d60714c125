"""Orders as records for an audit: no personal data, ages in seconds."""

import hashlib
from datetime import datetime

from chassis.mongo import Document
from order_service.model import CANCELLED, CONFIRMED, FAILED, Buyer, Order
from order_service.payment.provider import LedgerEntry
from order_service.store.documents import to_order

_PAYMENT = ("status", "attempt", "amount", "provider")


def order_record(document: Document, now: datetime) -> Document:
    """Return the record of an order: its status, its lines, its payment, and the work that is still due."""
    order = to_order(document)
    buyer, key, payment = order.buyer or Buyer("", None, None), order.key, order.payment
    return {
        "kind": "order",
        "id": order.id,
        "user": buyer.id or None,
        "has_phone": buyer.phone is not None,
        "status": order.status,
        "is_lost": order.status == FAILED and order.note is not None,
        "history": [entry.status for entry in order.history],
        "cancelled_by": next((entry.by for entry in order.history if entry.status == CANCELLED), None),
        "key": hashlib.sha256(f"{buyer.id} {key}".encode()).hexdigest() if key else None,
        "lines": sorted([line.product_id, line.quantity] for line in order.lines),
        "total": order.total,
        "payment": {name: getattr(payment, name) for name in _PAYMENT} if payment else None,
        "unpaid_for": _seconds_unpaid(order, now),
        "outbox": {e["id"]: (now - datetime.fromisoformat(e["time"])).total_seconds() for e in order.outbox},
        "release": order.release_due,
        "age": (now - order.updated_at).total_seconds(),
    }


def charge_record(entry: LedgerEntry, now: datetime) -> Document:
    """Return the record of money that the payment provider took."""
    age = (now - entry.created_at).total_seconds()
    return {
        "kind": "charge",
        "id": f"{entry.order_id}.{entry.attempt}",
        "order": entry.order_id,
        "attempt": entry.attempt,
        "amount": entry.amount,
        "refunds": list(entry.refunds),
        "age": age,
    }


def _seconds_unpaid(order: Order, now: datetime) -> float | None:
    """Return how long ago an order had to be paid that still waits for it; negative before that time."""
    return (now - order.pay_by).total_seconds() if order.pay_by and order.status == CONFIRMED else None
