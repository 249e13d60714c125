"""Headers: those of every response, the idempotency key, and malformed values of requests, which are ignored.

RFC 9110 demands this for dates (13.1.3, 13.1.4). For some other headers, werkzeug's error would become a 500.
To handle another header, add its test to `_IS_VALID`.
"""

import re
from collections.abc import Callable
from wsgiref.types import WSGIEnvironment

from flask import request
from werkzeug.http import parse_date

from chassis.errors import Invalid

# From OWASP's REST security cheat sheet. The gateway adds Strict-Transport-Security, where TLS ends.
SECURITY_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key() -> str | None:
    """Return the request's `Idempotency-Key`, None without one. Raises Invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid.field("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def drop_malformed(environ: WSGIEnvironment) -> None:
    """Remove malformed header values from a request's environment, and a range whose `If-Range` is malformed."""
    for header, is_valid in _IS_VALID.items():
        if header in environ and not is_valid(environ[header]):
            del environ[header]
            if header == "HTTP_IF_RANGE":
                environ.pop("HTTP_RANGE", None)


def _is_date(value: str) -> bool:
    try:
        return parse_date(value) is not None
    except (ValueError, OverflowError):
        return False


_IS_VALID: dict[str, Callable[[str], bool]] = {
    "HTTP_AUTHORIZATION": str.isascii,
    "HTTP_IF_MODIFIED_SINCE": _is_date,
    "HTTP_IF_RANGE": lambda value: value.startswith(('"', 'W/"')) or _is_date(value),
    "HTTP_IF_UNMODIFIED_SINCE": _is_date,
}
