"""Reading events: CloudEvents 1.0 in JSON, by the schemas under `contracts/events`.

A tolerant reader: only the fields that a notification needs must be valid; all others may be missing, new or wrong.
So events that an older order-service published, and that still wait, give notifications as well.
"""

import json
import re
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from chassis.schemas import read_time
from chassis.telemetry import context
from notification_service.model import Address, Event, Line, Money, Tracking
from notification_service.wording import WORDINGS

MAX_TEXT = 320  # the longest e-mail address (RFC 5321: 64 + 1 + 255)
MAX_URL = 2000  # characters; browsers and mail programs accept at least as many
MAX_QUANTITY = 1_000_000_000

_ADDRESS_PARTS = tuple(field.name for field in fields(Address))
_MONEY = re.compile(r"[0-9]{1,15}\.[0-9]{2}", re.ASCII)
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")  # control characters, overrides of direction


class InvalidEvent(Exception):
    """No notification can be made of the message. A retry is pointless. The text names no value of the message."""


def read_event(body: bytes) -> Event:
    """Return the event in the body of a message. Raises InvalidEvent."""
    event = _parse(body)
    data = _member(event, "data", dict)
    event_type = _text(event, "type")
    if event_type not in WORDINGS:
        raise InvalidEvent("the type of event is unknown")
    user = _member(data, "user", dict)
    return Event(
        id=_text(event, "id"),
        type=event_type,
        order_id=_text(data, "order_id"),
        user_id=_text(user, "id"),
        email=_text(user, "email"),
        phone=_optional_text(user, "phone"),
        request_id=_optional_text(event, "requestid"),
        trace=context.read(event),
        occurred_at=read_time(event.get("time")),
        record_only=event.get("recordonly") is True,
        **_details(data),
    )


def _details(data: dict[str, Any]) -> dict[str, Any]:
    """Return what only some events have. An amount without its currency is left out."""
    currency = _optional_text(data, "currency")
    return {
        "lines": tuple(line for value in _list(data, "lines") if (line := _line(value, currency))),
        "total": _money(data.get("total"), currency),
        "payment": _money(_part(data, "payment").get("amount"), currency),
        "shipping_address": _address(_part(data, "shipping_address")),
        "tracking": _tracking(_part(data, "tracking")),
        "reason": _optional_text(data, "reason"),
    }


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


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    value = parent.get(name)
    return value if isinstance(value, list) else []


def _part(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _label(value: object) -> str | None:
    """Return a text for people to read, on one line."""
    if not isinstance(value, str):
        return None
    text = value if value.isprintable() else _INVISIBLE.sub(" ", value)  # most are, and this is fast
    return " ".join(text.split()) or None


def _line(value: object, currency: str | None) -> Line | None:
    if not isinstance(value, dict):
        return None
    name, quantity = _label(value.get("name")), value.get("quantity")
    if not name or type(quantity) is not int or not 0 < quantity <= MAX_QUANTITY:
        return None
    return Line(name, quantity, _money(value.get("unit_price"), currency))


def _money(value: object, currency: str | None) -> Money | None:
    is_amount = isinstance(value, str) and _MONEY.fullmatch(value)
    return Money(int(str(value).replace(".", "")), currency) if is_amount and currency else None


def _address(part: dict[str, Any]) -> Address | None:
    address = Address(**{name: _label(part.get(name)) for name in _ADDRESS_PARTS})
    return address if address.lines else None


def _tracking(part: dict[str, Any]) -> Tracking | None:
    tracking = Tracking(_label(part.get("carrier")), _label(part.get("number")), _link(part.get("url")))
    return tracking if tracking != Tracking() else None


def _link(value: object) -> str | None:
    """Return the address of a web page; None for everything else, such as `javascript:`."""
    if not isinstance(value, str) or len(value) > MAX_URL or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        return value if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None
