"""The events that order-service publishes: CloudEvents 1.0 in JSON, described by the schemas under `contracts/events`.

To add an event type, write its schema and example there, name it here, and put the event into the outbox in the same
write that makes it true.
"""

from datetime import datetime
from typing import Any

from chassis.logs import request_id
from chassis.schemas import format_money, format_time
from chassis.telemetry.context import carried
from order_service.model import Line, Order, known_fields
from order_service.payment.model import CAPTURED, REFUND_DUE, REFUNDED, Payment

ORDER_CREATED, ORDER_PAID = "order_created", "order_paid"
ORDER_CANCELLED, ORDER_REFUNDED = "order_cancelled", "order_refunded"
ORDER_SHIPPED, ORDER_DELIVERED = "order_shipped", "order_delivered"
TYPES = (ORDER_CREATED, ORDER_PAID, ORDER_CANCELLED, ORDER_REFUNDED, ORDER_SHIPPED, ORDER_DELIVERED)
"""All types; buyers are notified of each, so each must reach the queue of notification-service."""

SCHEMA_VERSION = "1.1"
"""The version of the schemas under `contracts/events`. Within a major version they only grow."""


def order_event(event_type: str, order: Order, now: datetime, *, reason: str | None = None) -> dict[str, Any]:
    """Return the event of an order that was confirmed; `reason` says why it is cancelled.

    Its id is always the same, so that publishing it twice is harmless. It carries the trace of what caused it (the
    CloudEvents extension for distributed tracing), and so continues it, however long it waits.
    """
    event = {
        "specversion": "1.0",
        "id": f"{order.id}.{event_type}",
        "source": "/order-service",
        "type": event_type,
        "subject": order.id,
        "time": format_time(now),
        "datacontenttype": "application/json",
        "dataschema": f"urn:shop:events:{event_type}:{SCHEMA_VERSION}",
        "data": {
            "order_id": order.id,
            "user": known_fields(order.buyer),
            "lines": [_line(line) for line in order.lines],
            "total": format_money(order.total or 0),
            "currency": order.currency,
            **_details(order, reason),
        },
    }
    return event | ({"requestid": request_id.get()} if request_id.get() else {}) | carried()


def _details(order: Order, reason: str | None) -> dict[str, Any]:
    """Return what is known only of some orders."""
    details = {
        "shipping_address": known_fields(order.shipping_address),
        "payment": _payment(order.payment),
        "tracking": known_fields(order.tracking),
        "reason": reason,
    }
    return {name: value for name, value in details.items() if value}


def _payment(payment: Payment | None) -> dict[str, Any] | None:
    """Return the method and the amount of money that the provider has taken; None if it has taken none."""
    if payment is None or payment.status not in (CAPTURED, REFUND_DUE, REFUNDED):
        return None
    return {"method": payment.method, "amount": format_money(payment.amount)}


def _line(line: Line) -> dict[str, Any]:
    return vars(line) | {"unit_price": format_money(line.unit_price)}
