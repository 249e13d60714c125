"""What is known of each request: its id, its place in a trace, its log line and its duration.

A preflight of a known route is not observed, and neither is a health check. The request that follows a preflight tells
more, and each route would have another series.

The names follow OpenTelemetry's conventions for HTTP (https://opentelemetry.io/docs/specs/semconv/http/).
"""

import re
import time
from contextvars import Token
from functools import cache
from wsgiref.types import WSGIEnvironment

from flask import Flask, Request, Response, request

from chassis import logs
from chassis.telemetry import context, metrics, tracing
from chassis.telemetry.context import TraceContext
from chassis.telemetry.tracing import SERVER, Span
from chassis.web.problems import redacted_path

DURATION = metrics.histogram(
    "http_server_request_duration_seconds",
    "The duration of each request.",
    ["http_request_method", "http_route", "http_response_status_code"],
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # a client can invent others
NOT_OBSERVED = frozenset({"health", "ready", "metrics"})  # endpoints that other programs ask every few seconds
NOT_MEASURED = ("/docs", "/openapi.json")  # routes whose duration nobody waits for; each would have a dozen series

_OBSERVATION = "shop.observation"  # its key in the environment of the request
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class Observation:
    """The observation of one request."""

    def __init__(self, asked: Request, threads: metrics.Pool) -> None:
        self._started = time.perf_counter()
        self._request = asked
        environ, rule = asked.environ, asked.url_rule
        method = environ["REQUEST_METHOD"]
        self._method = method if method in METHODS else "_OTHER"
        self._route = _route(rule.rule) if rule else ""
        is_observed = not (rule and (rule.endpoint in NOT_OBSERVED or _is_preflight(environ)))
        self._threads = threads if is_observed else None
        self._span = self._start_span(environ)
        self._token: Token[TraceContext | None] = context.current.set(self._span.context)
        client_id = environ.get("HTTP_X_REQUEST_ID", "")
        logs.request_id.set(client_id if _REQUEST_ID.fullmatch(client_id) else self._span.context.trace_id)
        if self._threads:
            self._threads.take()

    @property
    def traceresponse(self) -> str | None:
        """Return the value of the header `traceresponse`, None for a request that is not observed."""
        return self._span.context.traceparent if self._threads else None

    def finish(self, response: Response) -> None:
        """Record the response, before it is sent."""
        if self._threads is None:
            return
        seconds, status = time.perf_counter() - self._started, response.status_code
        path = redacted_path(self._request.path)
        logs.access(self._request.method, path, status, seconds)
        if not self._route.startswith(NOT_MEASURED):
            _durations(self._method, self._route, status).observe(seconds)
        if tracing.is_recording():
            self._describe(path, response)

    def end(self) -> None:
        """End the observation: the response is made, and gunicorn sends it."""
        if self._threads:
            self._threads.free()
        self._span.end()
        logs.request_id.set("")
        context.current.reset(self._token)

    def _start_span(self, environ: WSGIEnvironment) -> Span:
        traceparent = environ.get("HTTP_TRACEPARENT")
        state = environ.get("HTTP_TRACESTATE")
        parent = context.read({"traceparent": traceparent, "tracestate": state}) if traceparent else None
        if self._threads is None:
            return tracing.NoSpan(parent or context.new())
        return tracing.start(f"{self._method} {self._route}".rstrip(), SERVER, parent)

    def _describe(self, path: str, response: Response) -> None:
        attributes = {
            "http.request.method": self._method,
            "http.route": self._route,
            "http.response.status_code": response.status_code,
            "url.path": path,
            "url.scheme": self._request.scheme,
            "shop.request_id": logs.request_id.get(),
        }
        for name, value in attributes.items():
            self._span.set(name, value)
        if location := response.headers.get("Location"):
            self._span.set("http.response.header.location", redacted_path(location))
        if response.status_code >= 500:
            self._span.fail(str(response.status_code))


def init_app(app: Flask, threads: int) -> None:
    """Observe all requests of an app; `threads` is how many of them a process handles at a time.

    Call it before the app gets other hooks, so that they are observed as well.
    """
    pool = metrics.Pool("web-threads", threads)

    def begin() -> None:
        # The request itself: each look through Flask's proxy takes half a microsecond.
        asked = request._get_current_object()  # type: ignore[attr-defined]
        asked.environ[_OBSERVATION] = Observation(asked, pool)

    def finish(response: Response) -> Response:
        if observation := request.environ.get(_OBSERVATION):
            observation.finish(response)
        return response

    def end(_: BaseException | None) -> None:
        if observation := request.environ.pop(_OBSERVATION, None):
            observation.end()

    app.before_request(begin)
    app.after_request(finish)
    app.teardown_request(end)


def response_headers(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """Return the headers that name a request to its client: its id and, if it is observed, its place in its trace.

    `traceresponse` is from a draft of the W3C (https://w3c.github.io/trace-context/).
    """
    headers = [("X-Request-ID", logs.request_id.get())]
    observation: Observation | None = environ.get(_OBSERVATION)
    if observation and (place := observation.traceresponse):
        headers.append(("traceresponse", place))
    return headers


def _is_preflight(environ: WSGIEnvironment) -> bool:
    """Return whether a browser asks, before a request, if a page may send it (Fetch standard, CORS-preflight)."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ


@cache
def _route(rule: str) -> str:
    """Return Flask's rule as OpenAPI writes it: /orders/{order_id}."""
    return _PARAMETER.sub(r"{\1}", rule)


@cache
def _durations(method: str, route: str, status: int) -> metrics.Observed:
    """Return the histogram of these labels. Looking it up in the library would take as long as the observation."""
    return DURATION.labels(method, route, str(status))
