"""Orders as documents, and documents as orders."""

from typing import Any

from chassis.mongo import Document
from order_service.model import Address, Buyer, HistoryEntry, Item, Line, Order, Refusal, Tracking, known_fields
from order_service.payment.model import Payment

_PLAIN_FIELDS = (
    "status",
    "created_at",
    "updated_at",
    "total",
    "currency",
    "key",
    "fingerprint",
    "note",
    "pay_by",
    "traceparent",
)


def to_document(order: Order) -> Document:
    """Return the document of a new order, without empty fields. Its events and its release are due at once."""
    document: Document = {
        "_id": order.id,
        "user": vars(order.buyer) if order.buyer else None,
        "items": [vars(item) for item in order.items],
        "lines": [vars(line) for line in order.lines],
        "shipping_address": known_fields(order.shipping_address),
        "refusal": vars(order.refusal) if order.refusal else None,
        "history": [vars(entry) for entry in order.history],
        "outbox": list(order.outbox),
        "due": order.created_at if order.outbox else None,
        "release": order.created_at if order.release_due else None,
        "payment_due": order.pay_by,
        **{name: getattr(order, name) for name in _PLAIN_FIELDS},
    }
    return {name: value for name, value in document.items() if value not in (None, [], {}, "")}


def to_order(document: Document) -> Order:
    """Return the order of a document."""
    return Order(
        id=document["_id"],
        buyer=_read(Buyer, document.get("user")),
        items=tuple(Item(**item) for item in document.get("items", ())),
        lines=tuple(Line(**line) for line in document.get("lines", ())),
        shipping_address=_read(Address, document.get("shipping_address")),
        tracking=_read(Tracking, document.get("tracking")),
        payment=_read(Payment, document.get("payment")),
        refusal=_read(Refusal, document.get("refusal")),
        history=tuple(HistoryEntry(**entry) for entry in document.get("history", ())),
        outbox=tuple(document.get("outbox", ())),
        release_due="release" in document,
        **{name: document[name] for name in _PLAIN_FIELDS if name in document},
    )


def _read(kind: Any, subdocument: Document | None) -> Any:
    """Return a value from its subdocument, without what only a later version knows."""
    if not subdocument:
        return None
    return kind(**{name: subdocument[name] for name in kind.__match_args__ if name in subdocument})
