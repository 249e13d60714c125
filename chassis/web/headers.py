"""Request headers: the idempotency key, and malformed values.

A malformed value is dropped, as if the header had not been sent. RFC 9110 says so for dates (13.1.3, 13.1.4); for some
others werkzeug raises an error that would become a 500. To handle another header, add its test below.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import request
from werkzeug.http import parse_date

from chassis.errors import Invalid

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key() -> str | None:
    """Return the request's `Idempotency-Key`, None without one. Raises Invalid unless it is 1-255 visible ASCII."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid.field("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def drop_malformed(environ: "WSGIEnvironment") -> None:
    """Remove malformed header values from a request's environment."""
    for header, is_valid in _TESTS.items():
        if header in environ and not is_valid(environ[header]):
            for name in (header, *_DEPENDENT.get(header, ())):
                environ.pop(name, None)


def _is_date(value: str) -> bool:
    try:
        return parse_date(value) is not None
    except (ValueError, OverflowError):
        return False


def _is_tag_or_date(value: str) -> bool:
    return value.startswith(('"', 'W/"')) or _is_date(value)


_TESTS: dict[str, Callable[[str], bool]] = {
    "HTTP_AUTHORIZATION": str.isascii,
    "HTTP_IF_MODIFIED_SINCE": _is_date,
    "HTTP_IF_RANGE": _is_tag_or_date,
    "HTTP_IF_UNMODIFIED_SINCE": _is_date,
}
_DEPENDENT = {"HTTP_IF_RANGE": ("HTTP_RANGE",)}  # without a valid If-Range, a range is not asked for either
