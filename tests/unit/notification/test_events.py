"""Reading events: strict for the fields that a notification needs, tolerant for all others."""

import json
from typing import Any

import pytest

from notification_service.events import InvalidEvent, read_event
from notification_service.model import Event
from notification_service.templates import notifications_of
from tests.unit.notification.notification_app import event


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
        ("total", 19.98),
        ("currency", None),
    ],
)
def test_invalid_optional_fields_are_left_out(part: str, oddity: Any) -> None:
    value = event()
    value["data"] |= {"total": "19.98", "currency": "EUR", "lines": []}
    valid = read(value)
    value["data"][part] = oddity
    odd = read(value)
    assert (odd.id, odd.email, odd.lines) == (valid.id, valid.email, ())
    assert odd.total == (valid.total if part == "lines" else None)


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
    assert [n.channel for n in notifications_of(read(event(phone=phone)))] == ["email"]


def test_texts_name_the_order_its_lines_and_total() -> None:
    value = event(phone="+3222345678")
    value["data"] |= {"lines": [{"name": "Mug {x}", "quantity": 2}], "total": "19.98", "currency": "EUR"}
    email, sms = notifications_of(read(value))
    assert (email.id, email.recipient) == ("order-1.order_created:email", "ana@example.com")
    assert email.subject == "Your order order-1 is confirmed"
    assert email.body == "Thank you! We have received your order order-1.\n\n2 x Mug {x}\nTotal: 19.98 EUR\n"
    assert (sms.id, sms.recipient) == ("order-1.order_created:sms", "+3222345678")
    assert sms.body == "Thank you! We have received your order order-1."
