"""The shape of an event, exactly."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.logs import bind_request_id
from order_service import events
from order_service.model import Address, Buyer, Item, Line, Order, Tracking
from order_service.payment.model import Payment

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ORDER = Order(
    id="0f8fad5bd9cb469fa16570867728950e",
    status="confirmed",
    buyer=Buyer("u1", "ada@example.com", None),
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


@pytest.mark.parametrize("kind", events.TYPES)
def test_an_event_is_a_cloud_event_with_the_buyer_and_the_order(kind: str) -> None:
    assert events.order_event(kind, ORDER, NOW) == {
        "specversion": "1.0",
        "id": f"0f8fad5bd9cb469fa16570867728950e.{kind}",
        "source": "/order-service",
        "type": kind,
        "subject": "0f8fad5bd9cb469fa16570867728950e",
        "time": "2026-01-31T12:00:00.000Z",
        "datacontenttype": "application/json",
        "dataschema": f"urn:shop:events:{kind}:{events.SCHEMA_VERSION}",
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


def details(order: Order, **how: Any) -> dict[str, Any]:
    data = events.order_event("order_cancelled", order, NOW, **how)["data"]
    return {name: data[name] for name in ("shipping_address", "payment", "tracking", "reason") if name in data}


def test_an_event_carries_where_to_ship_how_to_follow_the_parcel_and_why_it_was_cancelled() -> None:
    address, tracking = Address("Ada", "Square 12", "London", "GB", postal_code="SW1Y"), Tracking(number="P1")
    assert details(replace(ORDER, shipping_address=address, tracking=tracking), reason="unpaid") == {
        "shipping_address": {
            "name": "Ada",
            "line1": "Square 12",
            "city": "London",
            "country": "GB",
            "postal_code": "SW1Y",
        },
        "tracking": {"number": "P1"},
        "reason": "unpaid",
    }


@pytest.mark.parametrize(
    ("status", "is_known"),
    [
        ("started", False),
        ("unknown", False),
        ("declined", False),
        ("paid", True),
        ("refund_due", True),
        ("refunded", True),
    ],
)
def test_an_event_carries_a_payment_only_if_the_money_was_taken(status: str, is_known: bool) -> None:
    payment = Payment(status, 3, "simulated", "pm_card_ok", 2003, "a reference")
    expected = {"payment": {"method": "pm_card_ok", "amount": "20.03"}} if is_known else {}
    assert details(replace(ORDER, payment=payment)) == expected
