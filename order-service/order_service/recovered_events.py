"""The events of an order made anew from the order: the broker and the history of notifications may have lost them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from order_service import events
from order_service.model import (
    ADMIN,
    CANCELLED,
    CONFIRMED,
    CUSTOMER,
    DELIVERED,
    PAID,
    SHIPPED,
    SYSTEM,
    Order,
)
from order_service.payment.model import REFUNDED
from order_service.told import Told

EMAIL, SMS = "email", "sms"  # the channels of notification-service: an e-mail always, an SMS where there is a phone
SENT, FAILED = "sent", "failed"

_TOLD_BY = {
    CONFIRMED: events.ORDER_CREATED,
    PAID: events.ORDER_PAID,
    SHIPPED: events.ORDER_SHIPPED,
    DELIVERED: events.ORDER_DELIVERED,
    CANCELLED: events.ORDER_CANCELLED,
}
# What an order went through at least; an order of version 1.0.0 has no history of it.
_PASSED = {
    CONFIRMED: (CONFIRMED,),
    PAID: (CONFIRMED, PAID),
    SHIPPED: (CONFIRMED, SHIPPED),
    DELIVERED: (CONFIRMED, SHIPPED, DELIVERED),
    CANCELLED: (CONFIRMED, CANCELLED),
}
_REASONS = {CUSTOMER: "customer", ADMIN: "admin", SYSTEM: "unpaid"}


def event_times(order: Order) -> dict[str, datetime]:
    """Return the types of the events that an order must have published, each with its time."""
    times = dict.fromkeys(_PASSED.get(order.status, ()), order.updated_at)
    if CONFIRMED in times:
        times[CONFIRMED] = order.created_at
    times |= {entry.status: entry.at for entry in order.history}
    told = {event_type: times[status] for status, event_type in _TOLD_BY.items() if status in times}
    if order.payment and order.payment.status == REFUNDED:
        told[events.ORDER_REFUNDED] = order.payment.refunded_at or order.updated_at
    return told


def with_lacking_events(order: Order, told: Told | None, *, record_only: bool) -> Order:
    """Return the order with an outbox that has every event of which the history lacks a notification.

    An event that waits there already stays as it is, but is marked or not, as the others are. With `record_only` a
    notification that has failed counts as one that the history has: it would be wrong to record it as sent.
    """
    waiting = {event["type"]: _marked(event, record_only) for event in order.outbox}
    for event_type, at in event_times(order).items():
        if not _is_told(order, event_type, told, (SENT, FAILED) if record_only else (SENT,)):
            waiting.setdefault(event_type, _marked(_event(order, event_type, at), record_only))
    return replace(order, outbox=tuple(sorted(waiting.values(), key=lambda event: event["time"])))


def _is_told(order: Order, event_type: str, told: Told | None, final: tuple[str, ...]) -> bool:
    keys = (f"{order.id}.{event_type}:{channel}" for channel in _channels(order))
    return told is not None and all(told.statuses.get(key) in final for key in keys)


def _channels(order: Order) -> Iterator[str]:
    yield EMAIL
    if order.buyer and order.buyer.phone:
        yield SMS


def _marked(event: dict[str, Any], record_only: bool) -> dict[str, Any]:
    unmarked = {name: value for name, value in event.items() if name != "recordonly"}
    return unmarked | ({"recordonly": True} if record_only else {})


def _event(order: Order, event_type: str, at: datetime) -> dict[str, Any]:
    """Return an event without what became known of the order only after it."""
    if event_type not in (events.ORDER_SHIPPED, events.ORDER_DELIVERED):
        order = replace(order, tracking=None)
    if event_type == events.ORDER_CREATED:
        order = replace(order, payment=None)
    cancelled_by = next((entry.by for entry in order.history if entry.status == CANCELLED), "")
    reason = _REASONS.get(cancelled_by) if event_type == events.ORDER_CANCELLED else None
    return events.order_event(event_type, order, at, reason=reason)
