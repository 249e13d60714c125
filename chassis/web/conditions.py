"""Conditional writes (RFC 9110, section 13.1): `If-Match` and `If-None-Match` are obeyed by every route that changes
something.

A route whose things have an entity tag is marked `conditional` and calls `check_conditions`. No tag can match what has
none: any other write with `If-Match: "..."` is refused, rather than done as if nothing had been demanded.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

from chassis.errors import PreconditionFailed

View = TypeVar("View", bound=Callable[..., Any])

SAFE = {"GET", "HEAD"}


def conditional(view: View) -> View:
    """Let this route look at the conditions of a write itself."""
    view.__dict__["checks_conditions"] = True
    return view


def check_conditions(etag: str) -> bool:
    """Return whether a write must find just this state, the one with this entity tag. Raises PreconditionFailed."""
    unwanted, wanted = request.if_none_match, request.if_match
    if "If-None-Match" in request.headers and (unwanted.star_tag or unwanted.contains_weak(etag)):
        raise PreconditionFailed("If-None-Match names the state that it is in.")
    if "If-Match" not in request.headers or wanted.star_tag:
        return False
    if not wanted.contains(etag):
        raise PreconditionFailed("It has changed since you read it. Read it again before you repeat the request.")
    return True


def reject_unsupported_conditions(view: Callable[..., Any]) -> None:
    """Refuse what no other route can promise. Raises PreconditionFailed."""
    if request.method in SAFE or getattr(view, "checks_conditions", False):
        return
    if "If-Match" in request.headers and not request.if_match.star_tag:
        raise PreconditionFailed("What this request is about has no entity tag, so none can match.")
