"""The order that follows from a request and the result of its reservation."""

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime

from chassis.telemetry.context import recorded
from order_service import events
from order_service.model import (
    CONFIRMED,
    CUSTOMER,
    FAILED,
    REJECTED,
    SYSTEM,
    HistoryEntry,
    Order,
    OrderRequest,
    Outcome,
    ReservationResult,
)
from order_service.payment.model import PaymentTerms


def new_order(
    order_id: str, request: OrderRequest, result: ReservationResult, now: datetime, terms: PaymentTerms
) -> Order:
    """Return the order to write: confirmed with its event, rejected with the refusal, or failed."""
    if result.outcome in (Outcome.RELEASED, Outcome.UNKNOWN):
        return failed_order(order_id, now)
    status = REJECTED if result.outcome is Outcome.REFUSED else CONFIRMED
    order = Order(
        order_id,
        status,
        now,
        now,
        **vars(request),
        fingerprint=fingerprint(request),
        traceparent=recorded(),
        history=(HistoryEntry(status, now, CUSTOMER),),
    )
    if status == REJECTED:
        return replace(order, refusal=result.refusal)
    total = sum(line.unit_price * line.quantity for line in result.lines)
    pay_by = terms.pay_by(now) if total else None
    order = replace(order, lines=result.lines, total=total, currency=result.currency, pay_by=pay_by)
    return replace(order, outbox=(events.order_event(events.ORDER_CREATED, order, now),))


def failed_order(order_id: str, now: datetime) -> Order:
    """Return a failed order: it notes that nothing was ordered under an id, and that its stock must be released."""
    history = (HistoryEntry(FAILED, now, SYSTEM),)
    return Order(order_id, FAILED, now, now, history=history, release_due=True, traceparent=recorded())


def fingerprint(request: OrderRequest) -> str:
    """Return a digest of the request's body, to recognise another order under the same idempotency key.

    A request without address and note has the digest that it had before there were any: keys never expire.
    """
    items = [asdict(item) for item in request.items]
    address = request.shipping_address and asdict(request.shipping_address)
    body = [items, address, request.note] if address or request.note else items
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
