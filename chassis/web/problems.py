"""Errors as problem documents (RFC 9457): the problems that the core raises, Flask's errors, unexpected exceptions."""

import json
import logging
import re
from typing import Any

from flask import Flask, Response, current_app, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from chassis import logs
from chassis.errors import ContentTooLarge, Invalid, Problem
from chassis.telemetry import metrics
from chassis.web.json_bodies import MAX_BODY

UNEXPECTED_ERRORS = metrics.counter(
    "shop_unexpected_errors_total", "Requests that ended with an unexpected exception and were answered 500."
)
MAX_ERRORS, MAX_FIELD_NAME = 100, 100  # a response must not grow with what a client sends
_UNUSUAL_SEGMENT = re.compile(r"[^/]*[^/0-9A-Za-z_.-][^/]*|[^/]{65,}")


class ErrorDetail(BaseModel):
    """One invalid field."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[ErrorDetail] = []


def init_app(app: Flask) -> None:
    """Answer every error with a problem document."""
    app.register_error_handler(Exception, _to_response)


def problem_response(problem: Problem) -> Response:
    """Return a problem as `application/problem+json`."""
    instance, request_id = redacted_path(request.path), logs.request_id.get()
    body = json.dumps(document(problem, problem.detail, instance, request_id, **problem.members))
    response = Response(body, status=problem.status, mimetype="application/problem+json")
    response.headers.update(problem.headers)
    return response


def document(
    problem: Problem | type[Problem], detail: str, instance: str, request_id: str, **members: Any
) -> dict[str, Any]:
    """Return the problem document of a problem, or of a kind of problem."""
    own = {"type": problem.code, "title": problem.title, "status": problem.status, "detail": detail}
    return {**own, "instance": instance, "request_id": request_id, **members}


def reject_invalid(error: ValidationError) -> Response:
    """Return 422 with the first invalid fields."""
    errors = [
        {"field": ".".join(map(str, e["loc"]))[:MAX_FIELD_NAME], "message": e["msg"].removeprefix("Value error, ")}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return problem_response(Invalid(errors=errors[:MAX_ERRORS]))


def _to_response(error: Exception) -> Response:
    if isinstance(error, Problem):
        return problem_response(error)
    if isinstance(error, RequestEntityTooLarge):
        return problem_response(ContentTooLarge(f"The body is larger than {MAX_BODY} bytes."))
    if isinstance(error, HTTPException):
        return _http_problem(error)
    UNEXPECTED_ERRORS.inc()
    logging.getLogger(current_app.name).error("unexpected error", exc_info=error)
    return problem_response(Problem("An unexpected error happened. The request id leads to it in the logs."))


def _http_problem(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return error.get_response()  # type: ignore[return-value]
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    response = problem_response(Problem.of_status(error.code or 500, error.description or ""))
    response.headers.update([h for h in error.get_headers() if h[0] in ("Allow", "Retry-After", "Location")])
    return response


def redacted_path(path: str) -> str:
    """Return a path without the segments that do not look like an id: they may be an e-mail address or a token."""
    return _UNUSUAL_SEGMENT.sub("***", path)
