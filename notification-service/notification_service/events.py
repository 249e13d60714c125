"""Reading events: CloudEvents 1.0 in JSON, by the schemas under `contracts/events`.

A tolerant reader: only the fields that a notification needs must be valid; all others may be missing, new or wrong.
"""

import json
from typing import Any

from notification_service.model import Event
from notification_service.templates import TEMPLATES

MAX_TEXT = 320  # the longest e-mail address (RFC 5321: 64 + 1 + 255)


class InvalidEvent(Exception):
    """No notification can be made of the message. A retry is pointless. The text names no value of the message."""


def read_event(body: bytes) -> Event:
    """Return the event in the body of a message. Raises InvalidEvent."""
    event = _parse(body)
    data = _member(event, "data", dict)
    event_type = _text(event, "type")
    if event_type not in TEMPLATES:
        raise InvalidEvent("the type of event is unknown")
    user = _member(data, "user", dict)
    return Event(
        id=_text(event, "id"),
        type=event_type,
        order_id=_text(data, "order_id"),
        user_id=_text(user, "id"),
        email=_text(user, "email"),
        phone=_optional_text(user, "phone"),
        lines=_lines(data.get("lines")),
        total=_total(data),
        request_id=_optional_text(event, "requestid"),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
        json.dumps(event, ensure_ascii=False).encode()  # lone surrogates fail: they can be neither stored nor sent
    except (ValueError, RecursionError):
        raise InvalidEvent("the body is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidEvent("the body is not a JSON object")
    return event


def _member(parent: dict[str, Any], name: str, kind: type) -> Any:
    if not isinstance(value := parent.get(name), kind):
        raise InvalidEvent(f"{name} is missing or has the wrong type")
    return value


def _text(parent: dict[str, Any], name: str) -> str:
    value: str = _member(parent, name, str)
    if not _is_text(value):
        raise InvalidEvent(f"{name} is empty, too long or not printable")
    return value


def _optional_text(parent: dict[str, Any], name: str) -> str | None:
    value = parent.get(name)
    return value if isinstance(value, str) and _is_text(value) else None


def _is_text(value: str) -> bool:
    return 0 < len(value) <= MAX_TEXT and value.isprintable()


def _lines(lines: object) -> tuple[str, ...]:
    entries = lines if isinstance(lines, list) else []
    return tuple(f"{line['quantity']} x {line['name']}" for line in entries if _is_line(line))


def _is_line(line: object) -> bool:
    return isinstance(line, dict) and isinstance(line.get("name"), str) and type(line.get("quantity")) is int


def _total(data: dict[str, Any]) -> str | None:
    amount, currency = _optional_text(data, "total"), _optional_text(data, "currency")
    return f"{amount} {currency}" if amount and currency else None
