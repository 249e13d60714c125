"""Orders as documents, and documents as orders or audit records."""

import hashlib
from datetime import datetime

from chassis.mongo import Document
from order_service.model import Buyer, Item, Line, Order, Refusal

_PLAIN_FIELDS = ("status", "created_at", "updated_at", "total", "currency", "key", "fingerprint")


def to_document(order: Order) -> Document:
    """Return the document of a new order, without empty fields. Its events and its release are due at once."""
    fields: Document = {
        "_id": order.id,
        "user": vars(order.user) if order.user else None,
        "items": [vars(item) for item in order.items],
        "lines": [vars(line) for line in order.lines],
        "refusal": vars(order.refusal) if order.refusal else None,
        "outbox": list(order.outbox),
        "due": order.created_at if order.outbox else None,
        "release": order.created_at if order.release_due else None,
        **{name: getattr(order, name) for name in _PLAIN_FIELDS},
    }
    return {name: value for name, value in fields.items() if value not in (None, [], "")}


def to_order(document: Document) -> Order:
    """Return the order of a document."""
    user, refusal = document.get("user"), document.get("refusal")
    return Order(
        id=document["_id"],
        user=Buyer(**user) if user else None,
        items=tuple(Item(**item) for item in document.get("items", ())),
        lines=tuple(Line(**line) for line in document.get("lines", ())),
        refusal=Refusal(**refusal) if refusal else None,
        outbox=tuple(document.get("outbox", ())),
        release_due="release" in document,
        **{name: document[name] for name in _PLAIN_FIELDS if name in document},
    )


def to_audit_record(document: Document, now: datetime) -> Document:
    """Return the record for an audit: no personal data, ages in seconds."""
    order = to_order(document)
    user, key = order.user or Buyer("", None, None), order.key
    return {
        "kind": "order",
        "id": order.id,
        "user": user.id or None,
        "has_phone": user.phone is not None,
        "status": order.status,
        "key": hashlib.sha256(f"{user.id} {key}".encode()).hexdigest() if key else None,
        "lines": sorted([line.product_id, line.quantity] for line in order.lines),
        "outbox": {e["id"]: (now - datetime.fromisoformat(e["time"])).total_seconds() for e in order.outbox},
        "release": order.release_due,
        "age": (now - order.updated_at).total_seconds(),
    }
