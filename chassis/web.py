"""The HTTP side that all services share: the app, request ids, strict JSON bodies, problem documents."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, g, request
from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import RequestRedirect
from werkzeug.wsgi import get_input_stream

from chassis import logs
from chassis.cors import allow_origins
from chassis.errors import BadRequest, ContentTooLarge, Invalid, Problem, UnsupportedMediaType
from chassis.schemas import Reply, to_json

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY = 1 << 20
MAX_DISCARDED = 8 << 20
MAX_NESTING = 20  # levels; far below what the JSON parser stands, which depends on how deep its caller is

# As OWASP's REST security cheat sheet has them. Strict-Transport-Security is added where TLS ends, by the gateway.
SAFETY_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)

log = logging.getLogger("access")
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")
_UNUSUAL_SEGMENT = re.compile(r"[^/]*[^/0-9A-Za-z_.-][^/]*|[^/]{65,}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


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


class App(OpenAPI):
    """A Flask app without asynchronous functions, which Flask would look for at each call, with `SAFETY_HEADERS`."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request; what the answer says already of the safety headers is kept."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            said = {name for name, _ in headers}
            headers += [header for header in SAFETY_HEADERS if header[0] not in said]
            return start_response(status, headers, exc_info)

        return super().wsgi_app(environ, start)


def make_app(
    package: str, title: str, description: str, *, trusted_proxies: int = 0, cors_origins: Collection[str] = ()
) -> App:
    """Return an app with request ids, problem documents and strict JSON bodies; routes are still to be added."""
    app = App(
        package,
        info=Info(title=title, version="1.0.0", description=description),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        doc_ui=False,
        validation_error_model=ProblemDocument,
        validation_error_callback=_refuse_invalid,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    if trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted_proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_end)
    app.register_error_handler(Exception, _to_response)
    allow_origins(app, cors_origins)
    return app


def read_bodies(app: Flask) -> None:
    """Read and check the JSON bodies of routes that take one. To be called after authentication is installed."""
    app.before_request(_read_body)


def present(model: type[Reply], source: object) -> Response:
    """Answer with the JSON object that a model makes of a source object."""
    return Response(to_json(model, source), mimetype="application/json")


def created(response: Response, location: str) -> Response:
    """Make an answer a 201 with the place of what was made."""
    response.status_code = 201
    response.headers["Location"] = location
    return response


def no_content() -> Response:
    """Answer 204."""
    return Response(status=204)


def problem_response(problem: Problem) -> Response:
    """Write a problem as `application/problem+json`."""
    body = {
        "type": problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": _plain_path(),
        "request_id": logs.request_id.get(),
        **problem.members,
    }
    response = Response(json.dumps(body), status=problem.status, mimetype="application/problem+json")
    response.headers.update(problem.headers)
    return response


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    logs.request_id.set(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
    g.started = time.perf_counter()


def _finish(response: Response) -> Response:
    if response.status_code >= 400:
        _discard_body()
    response.headers["X-Request-ID"] = logs.request_id.get()
    if "started" in g and not request.path.startswith(("/health", "/ready")):
        extra = {
            "method": request.method,
            "path": _plain_path(),
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - g.started) * 1000, 1),
        }
        log.info("request", extra=extra)
    return response


def _plain_path() -> str:
    """Return the path without segments that look like no id: somebody may have put an e-mail address or token there."""
    return _UNUSUAL_SEGMENT.sub("***", request.path)


def _end(_: BaseException | None) -> None:
    logs.request_id.set("")


def _discard_body() -> None:
    """Read on what the client still sends, up to a limit: it would not see the answer before it has sent everything."""
    if "body_read" in g or "form" in vars(request):
        return
    stream = get_input_stream(request.environ)
    left = MAX_DISCARDED
    try:
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)
    except (OSError, ClientDisconnected):
        pass  # the client has gone, so nobody waits for the answer


def _read_body() -> None:
    """Refuse with 415, 400 or 413 what is not a JSON object of acceptable size, where the route takes a body."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or "body" not in getattr(view, "__annotations__", {}) or request.method == "OPTIONS":
        return
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")
    data = request.get_data(cache=True)
    g.body_read = True
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    if _is_nested_deeper(value, MAX_NESTING):
        raise BadRequest(f"The body is nested deeper than {MAX_NESTING} levels.")
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")


def _is_nested_deeper(value: object, levels: int) -> bool:
    """Tell whether lists and objects contain each other on more than so many levels."""
    containers = [value] if isinstance(value, list | dict) else []
    for _ in range(levels):
        inner = chain.from_iterable(c.values() if isinstance(c, dict) else c for c in containers)
        containers = [item for item in inner if isinstance(item, list | dict)]
    return bool(containers)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_invalid(error: ValidationError) -> Response:
    errors = [
        {"field": ".".join(map(str, e["loc"])), "message": e["msg"].removeprefix("Value error, ")}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return problem_response(Invalid(errors=errors))


def _to_response(error: Exception) -> Response:
    if isinstance(error, Problem):
        return problem_response(error)
    if isinstance(error, RequestEntityTooLarge):
        return problem_response(ContentTooLarge(f"The body must not be larger than {MAX_BODY} bytes."))
    if isinstance(error, HTTPException):
        return _http_problem(error)
    logging.getLogger(current_app.name).error("unexpected error", exc_info=error)
    return problem_response(Problem("Something unexpected went wrong; the request id helps to find it in the logs."))


def _http_problem(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return error.get_response()  # type: ignore[return-value]
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    status = HTTPStatus(error.code or 500)
    problem = Problem(error.description or status.phrase)
    problem.status, problem.title, problem.code = (  # type: ignore[misc]
        status.value,
        status.phrase,
        status.phrase.lower().replace(" ", "-"),
    )
    response = problem_response(problem)
    response.headers.update([h for h in error.get_headers() if h[0] in ("Allow", "Retry-After", "Location")])
    return response


def idempotency_key() -> str | None:
    """Return the request's `Idempotency-Key`, None without one. Raises Invalid unless it is 1-255 visible ASCII."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid.field("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key
