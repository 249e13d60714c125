"""The events that order-service publishes: CloudEvents 1.0 in JSON, described by the schemas under `contracts/events`.

To add an event type, write its schema and example there, name it here, and put the event into the outbox in the same
write that makes it true.
"""

from datetime import datetime
from typing import Any

from chassis.logs import request_id
from chassis.schemas import format_money, format_time
from order_service.model import Line, Order

ORDER_CREATED, ORDER_CANCELLED = "order_created", "order_cancelled"
ORDER_SHIPPED, ORDER_DELIVERED = "order_shipped", "order_delivered"
TYPES = (ORDER_CREATED, ORDER_CANCELLED, ORDER_SHIPPED, ORDER_DELIVERED)
"""All types; buyers are notified of each, so each must reach the queue of notification-service."""


def order_event(event_type: str, order: Order, now: datetime) -> dict[str, Any]:
    """Return the event of a confirmed order. Its id is always the same, so that publishing it twice is harmless."""
    event = {
        "specversion": "1.0",
        "id": f"{order.id}.{event_type}",
        "source": "/order-service",
        "type": event_type,
        "subject": order.id,
        "time": format_time(now),
        "datacontenttype": "application/json",
        "data": {
            "order_id": order.id,
            "user": {name: value for name, value in vars(order.user).items() if value is not None},
            "lines": [_line(line) for line in order.lines],
            "total": format_money(order.total or 0),
            "currency": order.currency,
        },
    }
    return event | ({"requestid": request_id.get()} if request_id.get() else {})


def _line(line: Line) -> dict[str, Any]:
    return vars(line) | {"unit_price": format_money(line.unit_price)}
