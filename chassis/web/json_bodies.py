"""JSON bodies, read strictly: what is no JSON object of acceptable size and depth is refused before a route sees it."""

import json
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import chain
from typing import IO, Any

import flask
from flask import g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from chassis.errors import BadRequest, Invalid, UnsupportedMediaType

MERGE_PATCH = ("PATCH", "application/merge-patch+json")  # RFC 7396, which is what PATCH does here
MAX_BODY = 1 << 20
MAX_DISCARDED = 8 << 20
MAX_NESTING = 20  # levels; far below what the JSON parser stands, which depends on how deep its caller is
MAX_MEMBERS = 100  # of an object; no body has so many fields, and each unknown one would be named in the answer


class Request(flask.Request):
    """A request whose body is either there as a whole or refused.

    Of a body without a length (`Transfer-Encoding: chunked`) werkzeug takes what fits into the limit for the whole.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the body to read from. Raises RequestEntityTooLarge, BadRequest."""
        if self.content_length is not None or "wsgi.input_terminated" not in self.environ:
            return super().stream
        try:
            body = self.environ["wsgi.input"].read(MAX_BODY + 1)
        except Exception as exc:  # the server's own, of a body that breaks off or is badly framed
            raise BadRequest("The body cannot be read.") from exc
        if len(body) > MAX_BODY:
            raise RequestEntityTooLarge
        return BytesIO(body)


def drain_body() -> None:
    """Read on what the client still sends, up to a limit: it would not see the answer before it has sent everything."""
    if "body_read" in g or "form" in vars(request):
        return
    stream = get_input_stream(request.environ)
    left = MAX_DISCARDED
    with suppress(Exception):  # the client has gone, or what it sends is no body; the server has errors of its own
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)


def require_json_body(view: Callable[..., Any]) -> None:
    """Read the body where the route takes one. Raises UnsupportedMediaType, BadRequest, RequestEntityTooLarge and
    Invalid for what is not a JSON object of acceptable size.
    """
    if "body" not in getattr(view, "__annotations__", {}):
        return
    if request.mimetype != "application/json" and (request.method, request.mimetype) != MERGE_PATCH:
        raise UnsupportedMediaType("The body must be application/json.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must not have a content coding.", headers={"Accept-Encoding": "identity"})
    try:
        value = json.loads(_received(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    _check_shape(value)
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")


def _received() -> bytes:
    """Return the body. Raises BadRequest for one that breaks off or is badly framed, with the server's own errors."""
    try:
        data = request.get_data(cache=True)
    except HTTPException:
        raise
    except Exception as exc:
        raise BadRequest("The body cannot be read.") from exc
    g.body_read = True
    return data


def _check_shape(value: object) -> None:
    """Raise BadRequest for a body that is nested too deeply, Invalid for one with an object of too many members."""
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


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
