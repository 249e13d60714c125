"""Reading events: CloudEvents 1.0 in JSON, described by the schemas under `contracts/events`.

A tolerant reader: what a notification cannot do without must be there, all else may be missing, new or odd.
"""

import json
from typing import Any

from notification_service.model import Buyer, Event
from notification_service.templates import TEMPLATES

MAX_TEXT = 320  # the longest e-mail address (RFC 5321: 64 + 1 + 255)


class InvalidEvent(Exception):
    """The message is no event that can be notified of. Repeating it is pointless."""


def read_event(body: bytes) -> Event:
    """Return the event in a message's body. Raises InvalidEvent, naming what is wrong but never a value."""
    event = _parsed(body)
    data = _member(event, "data", dict)
    kind = _text(event, "type")
    if kind not in TEMPLATES:
        raise InvalidEvent("the type of event is unknown")
    return Event(
        id=_text(event, "id"),
        type=kind,
        order_id=_text(data, "order_id"),
        user=_buyer(_member(data, "user", dict)),
        lines=_lines(data.get("lines")),
        total=_total(data),
        request_id=_optional_text(event, "requestid"),
    )


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
        json.dumps(event, ensure_ascii=False).encode()  # refuses lone surrogates, which can be neither stored nor sent
    except (ValueError, RecursionError):
        raise InvalidEvent("the body is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidEvent("the body is not a JSON object")
    return event


def _buyer(user: dict[str, Any]) -> Buyer:
    return Buyer(_text(user, "id"), _text(user, "email"), _optional_text(user, "phone"))


def _member(parent: dict[str, Any], name: str, kind: type) -> Any:
    if not isinstance(value := parent.get(name), kind):
        raise InvalidEvent(f"{name} is missing or of another kind")
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
