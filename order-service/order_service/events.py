"""The events that order-service publishes: CloudEvents 1.0 in JSON, described by the schemas under `contracts/events`.

To add one, write its schema and example there, give it a name here, and put it into the outbox in the same write
that makes it true.
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


def order_event(kind: str, order: Order, now: datetime) -> dict[str, Any]:
    """Return the event of a confirmed order. Its id is the same however often it is made or published."""
    event = {
        "specversion": "1.0",
        "id": f"{order.id}.{kind}",
        "source": "/order-service",
        "type": kind,
        "subject": order.id,
        "time": format_time(now),
        "datacontenttype": "application/json",
        "data": {
            "order_id": order.id,
            "user": {k: v for k, v in vars(order.user).items() if v is not None},
            "lines": [_line(line) for line in order.lines],
            "total": format_money(order.total or 0),
            "currency": order.currency,
        },
    }
    return event | ({"requestid": request_id.get()} if request_id.get() else {})


def _line(line: Line) -> dict[str, Any]:
    return vars(line) | {"unit_price": format_money(line.unit_price)}
