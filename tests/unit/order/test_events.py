"""The shape of an event, exactly."""

from datetime import UTC, datetime

import pytest

from chassis.logs import bind_request_id
from order_service import events
from order_service.model import Buyer, Item, Line, Order

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ORDER = Order(
    id="0f8fad5bd9cb469fa16570867728950e",
    status="confirmed",
    user=Buyer("u1", "ada@example.com", None),
    items=(Item("mug", 2),),
    lines=(Line("mug", "Coffee mug", 999, 2), Line("pen", "Pen", 5, 1)),
    total=2003,
    currency="EUR",
    refusal=None,
    fingerprint="",
    outbox=(),
    release_due=False,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize("kind", ["order_created", "order_cancelled", "order_shipped", "order_delivered"])
def test_an_event_is_a_cloud_event_with_the_buyer_and_the_order(kind: str) -> None:
    assert events.order_event(kind, ORDER, NOW) == {
        "specversion": "1.0",
        "id": f"0f8fad5bd9cb469fa16570867728950e.{kind}",
        "source": "/order-service",
        "type": kind,
        "subject": "0f8fad5bd9cb469fa16570867728950e",
        "time": "2026-01-31T12:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {
            "order_id": "0f8fad5bd9cb469fa16570867728950e",
            "user": {"id": "u1", "email": "ada@example.com"},
            "lines": [
                {"product_id": "mug", "name": "Coffee mug", "unit_price": "9.99", "quantity": 2},
                {"product_id": "pen", "name": "Pen", "unit_price": "0.05", "quantity": 1},
            ],
            "total": "20.03",
            "currency": "EUR",
        },
    }


def test_an_event_carries_the_id_of_the_request_that_caused_it() -> None:
    with bind_request_id("request-7"):
        assert events.order_event("order_created", ORDER, NOW)["requestid"] == "request-7"
    assert "requestid" not in events.order_event("order_created", ORDER, NOW)
