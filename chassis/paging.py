"""Keyset paging: a cursor holds the sort values of the last item, so that new items do not shift the next page.

Clients treat a cursor as opaque. A cursor that was changed, or belongs to another sort order, is rejected.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from chassis.errors import Invalid

T = TypeVar("T")
SortValue = str | int | datetime


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list; `next_cursor` leads to the next page, None at the end."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(order: str, values: list[SortValue]) -> str:
    """Return the cursor for the sort values of an item in a list of this order."""
    plain = [order, *(round(v.timestamp() * 1000) if isinstance(v, datetime) else v for v in values)]
    return base64.urlsafe_b64encode(json.dumps(plain, ensure_ascii=False).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, order: str, kinds: list[type]) -> list[SortValue]:
    """Return the sort values of a cursor, each of the expected kind (str, int or datetime). Raises Invalid."""
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(kinds) + 1 or values[0] != order:
            raise ValueError
        return [_checked(value, kind) for value, kind in zip(values[1:], kinds, strict=True)]
    except (ValueError, binascii.Error, OverflowError, RecursionError):
        raise Invalid.field("cursor", "is not a cursor of this list") from None


def _checked(value: object, kind: type) -> SortValue:
    stored: type = int if kind is datetime else kind
    if type(value) is not stored or (isinstance(value, int) and abs(value) >= 2**53):
        raise ValueError
    if isinstance(value, str):
        value.encode()  # fails for lone surrogates, which MongoDB cannot store
    return datetime.fromtimestamp(value / 1000, UTC) if kind is datetime else value  # type: ignore[operator, return-value]
