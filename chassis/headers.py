"""Header values that break their own grammar are read as if they had not been sent.

RFC 9110 says so of dates (13.1.3, 13.1.4); werkzeug raises errors of some, which would be answered with 500. To deal
with another header, give it a test below: every request of every service passes here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.http import parse_date

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def drop_malformed(environ: "WSGIEnvironment") -> None:
    """Take malformed values out of a request's environment."""
    for header, is_valid in _TESTS.items():
        if header in environ and not is_valid(environ[header]):
            for name in (header, *_WITH.get(header, ())):
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
_WITH = {"HTTP_IF_RANGE": ("HTTP_RANGE",)}  # a part is asked for only if that matches
