"""Reading events: strict for the fields that a notification needs, tolerant for all others."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.telemetry.context import TraceContext
from notification_service.events import InvalidEvent, read_event
from notification_service.model import Address, Event, Line, Money, Tracking
from tests.unit.notification.golden_mails import example
from tests.unit.notification.notification_app import COMPOSER, event


def read(value: Any) -> Event:
    return read_event(json.dumps(value).encode())


def test_the_least_that_an_event_needs_is_enough() -> None:
    assert read(event()) == Event(
        id="order-1.order_created",
        type="order_created",
        order_id="order-1",
        user_id="user-1",
        email="ana@example.com",
    )


def test_unknown_fields_are_accepted() -> None:
    value = event() | {"traceparent": "00-1", "dataschema": None}
    value["data"] |= {"gift": True, "warehouse": {"id": 1}}
    assert read(value) == read(event())


@pytest.mark.parametrize(
    ("part", "oddity"),
    [
        ("lines", None),
        ("lines", "two"),
        ("lines", [None, 1, {"name": "no quantity"}, {"name": 1, "quantity": 1}, {"name": "x", "quantity": True}]),
        ("lines", [{"name": "x", "quantity": 0}, {"name": "x", "quantity": 1.0}, {"name": "x", "quantity": 10**10}]),
        ("lines", [{"name": " ", "quantity": 1}, {"name": "\n", "quantity": 1}]),
        ("total", 19.98),
        ("total", "19.9"),
        ("total", "-19.98"),
        ("total", "١٩.98"),
        ("total", "9" * 400 + ".00"),
        ("currency", None),
        ("payment", "19.98"),
        ("payment", {"amount": None}),
        ("shipping_address", []),
        ("tracking", {"url": "javascript:alert(1)", "number": 7}),
        ("reason", {}),
    ],
)
def test_invalid_optional_fields_are_left_out(part: str, oddity: Any) -> None:
    value = event()
    value["data"] |= {"total": "19.98", "currency": "EUR", "lines": []}
    valid = read(value)
    value["data"][part] = oddity
    odd = read(value)
    assert odd == (replace(valid, total=None) if part in ("total", "currency") else valid)


def test_everything_that_a_mail_shows_is_read() -> None:
    value = example("order_shipped")
    value["data"] |= {"reason": "unpaid"}
    assert read(value) == Event(
        id="0f8fad5bd9cb469fa16570867728950e.order_shipped",
        type="order_shipped",
        order_id="0f8fad5bd9cb469fa16570867728950e",
        user_id="7c9e6679f4a24f0e9c1d2b3a4f5e6d7c",
        email="ada@example.com",
        phone="+3222345678",
        lines=(Line("Coffee mug", 2, Money(999, "EUR")), Line("Notebook, “Dünen”", 1, Money(450, "EUR"))),
        total=Money(2448, "EUR"),
        payment=Money(2448, "EUR"),
        shipping_address=Address(
            name="Ada Lovelace", line1="12 St James's Square", city="London", postal_code="SW1Y 4LB", country="GB"
        ),
        tracking=Tracking("Parcel Post", "PP123456789GB", "https://parcels.example.com/PP123456789GB"),
        reason="unpaid",
        request_id="5b1f0a7c9d3e4f62",
        trace=TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 3),
        occurred_at=datetime(2026, 2, 1, 8, 15, tzinfo=UTC),
    )


@pytest.mark.parametrize("time", [None, 7, "", "noon", "2026-02-01", "2026-02-01T08:15:00", "2026-02-30T08:15:00Z"])
def test_an_event_may_lack_a_time_that_can_be_read(time: Any) -> None:
    assert read(event() | {"time": time}) == read(event())
    assert read(event()).occurred_at is None


def _without(*path: str) -> dict[str, Any]:
    value = parent = event()
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"id": ' + b"[" * 100_000, "the body is not JSON"),
        (b'{"id": "\\ud800"}', "the body is not JSON"),
        (b"null", "the body is not a JSON object"),
        (b"[1]", "the body is not a JSON object"),
        (_without("id"), "id is missing or has the wrong type"),
        (event() | {"id": 7}, "id is missing or has the wrong type"),
        (event() | {"id": ""}, "id is empty, too long or not printable"),
        (event() | {"id": "x" * 400}, "id is empty, too long or not printable"),
        (_without("type"), "type is missing or has the wrong type"),
        (event(kind="order_painted"), "the type of event is unknown"),
        (_without("data"), "data is missing or has the wrong type"),
        (event() | {"data": []}, "data is missing or has the wrong type"),
        (_without("data", "order_id"), "order_id is missing or has the wrong type"),
        (_without("data", "user"), "user is missing or has the wrong type"),
        (_without("data", "user", "id"), "id is missing or has the wrong type"),
        (_without("data", "user", "email"), "email is missing or has the wrong type"),
        (event(email=None), "email is missing or has the wrong type"),
        (event(email={"$ne": None}), "email is missing or has the wrong type"),
        (event(email="a@example.com\r\nBcc: b@example.com"), "email is empty, too long or not printable"),
    ],
)
def test_an_event_without_valid_required_fields_is_invalid(body: Any, reason: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^{reason}$"):
        read_event(body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("phone", [None, "", 32, "1\n2"])
def test_without_a_valid_phone_there_is_only_an_email(phone: Any) -> None:
    assert [n.channel for n in COMPOSER.notifications_of(read(event(phone=phone)))] == ["email"]
