"""Conditional writes for optimistic concurrency (RFC 9110, section 13.1): `If-Match` and `If-None-Match`.

A route that compares ETags is marked `conditional` and calls `check_conditions`. Other routes reject `If-Match: "..."`:
ignoring it would be a promise broken.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

from chassis.errors import PreconditionFailed

View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = {"GET", "HEAD"}


def conditional(view: View) -> View:
    """Mark a route that checks the conditions of a write itself."""
    view.__dict__["checks_conditions"] = True
    return view


def check_conditions(etag: str) -> bool:
    """Check a write against the current ETag. Return whether `If-Match` binds it to exactly this state.

    Raises PreconditionFailed.
    """
    if_none_match, if_match = request.if_none_match, request.if_match
    if "If-None-Match" in request.headers and (if_none_match.star_tag or if_none_match.contains_weak(etag)):
        raise PreconditionFailed("If-None-Match names the present state.")
    if "If-Match" not in request.headers or if_match.star_tag:
        return False
    if not if_match.contains(etag):
        raise PreconditionFailed("The resource has changed since you read it. Read it again, then repeat the request.")
    return True


def reject_unsupported_conditions(view: Callable[..., Any]) -> None:
    """Reject `If-Match` on a route that compares no ETags. Raises PreconditionFailed."""
    if request.method in SAFE_METHODS or getattr(view, "checks_conditions", False):
        return
    if "If-Match" in request.headers and not request.if_match.star_tag:
        raise PreconditionFailed("This route compares no ETags, so none can match.")
