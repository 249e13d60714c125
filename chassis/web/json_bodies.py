"""Strict JSON bodies: a route sees only a JSON object of acceptable size and depth."""

import json
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import chain
from typing import IO, Any, TypeVar

import flask
from flask import g, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from chassis.errors import BadRequest, Invalid, UnsupportedMediaType

View = TypeVar("View", bound=Callable[..., Any])

MERGE_PATCH = ("PATCH", "application/merge-patch+json")  # RFC 7396, which is what PATCH does here
MAX_BODY = 1 << 20  # bytes that a route reads
MAX_DRAINED = 8 << 20  # bytes of a refused body; a client that sends more may lose the response
MAX_NESTING = 20  # levels; the JSON parser fails at some hundreds, depending on the stack of its caller
MAX_MEMBERS = 100  # fields of an object; no body has so many, and the response names each unknown one


class Request(flask.Request):
    """A request whose body is complete or rejected.

    werkzeug would cut off a body without a length (`Transfer-Encoding: chunked`) at the limit without an error.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the body as a stream. Raises RequestEntityTooLarge, BadRequest."""
        if self.content_length is not None or "wsgi.input_terminated" not in self.environ:
            return super().stream
        try:
            body = self.environ["wsgi.input"].read(MAX_BODY + 1)
        except Exception as exc:  # gunicorn has many classes for a body that is cut off or badly framed
            raise BadRequest("The body is incomplete or badly framed.") from exc
        if len(body) > MAX_BODY:
            raise RequestEntityTooLarge
        return BytesIO(body)


def optional_body(view: View) -> View:
    """Mark a route whose body may be left out; its model must accept None."""
    view.__dict__["body_is_optional"] = True
    return view


def drain_body() -> None:
    """Read the rest of the body, up to a limit: many clients read the response only after they have sent everything."""
    if "body_read" in g or "form" in vars(request):
        return
    stream = get_input_stream(request.environ)
    left = MAX_DRAINED
    with suppress(Exception):  # the client is gone, or the body is badly framed
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)


def require_json_body(view: Callable[..., Any]) -> None:
    """Read the body of a route that has a parameter named `body`.

    Raises UnsupportedMediaType, BadRequest, RequestEntityTooLarge, and Invalid if it is not a JSON object.
    """
    if "body" not in getattr(view, "__annotations__", {}) or _is_left_out(view):
        return
    if request.mimetype != "application/json" and (request.method, request.mimetype) != MERGE_PATCH:
        raise UnsupportedMediaType("The body must be application/json.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must not have a content coding.", headers={"Accept-Encoding": "identity"})
    body = request.get_data()
    g.body_read = True
    try:
        value = json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    _check_shape(value)
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")


def _is_left_out(view: Callable[..., Any]) -> bool:
    return getattr(view, "body_is_optional", False) and not request.get_data()


def _check_shape(value: object) -> None:
    """Raise BadRequest for a body that is nested too deeply, Invalid for an object with too many fields."""
    containers = [value] if isinstance(value, list | dict) else []
    for _ in range(MAX_NESTING):
        if not containers:
            return
        if any(isinstance(c, dict) and len(c) > MAX_MEMBERS for c in containers):
            raise Invalid(f"An object has more than {MAX_MEMBERS} fields.")
        inner = chain.from_iterable(c.values() if isinstance(c, dict) else c for c in containers)
        containers = [item for item in inner if isinstance(item, list | dict)]
    if containers:
        raise BadRequest(f"The body is nested deeper than {MAX_NESTING} levels.")


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
