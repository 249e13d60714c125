"""Requests to other services: a CLIENT span for each attempt, and the headers that carry the trace on."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from chassis.telemetry import context, tracing
from chassis.telemetry.tracing import CLIENT, Attributes, Span


class Outgoing:
    """A request that is about to be sent; `headers` carry its trace on."""

    def __init__(self, span: Span) -> None:
        self.headers = context.carried()
        self._span = span

    def answered(self, status: int) -> None:
        """Note the status of the response.

        Only 5xx and 401 fail the span. Other refusals, such as too little stock, are answers.
        """
        self._span.set("http.response.status_code", status)
        if status >= 500 or status == 401:
            self._span.fail(str(status))


@contextmanager
def request(method: str, url: str, template: str, *, resend_count: int = 0) -> Iterator[Outgoing]:
    """Record the sending of a request. `template` is its path without ids, such as `/reservations/{order_id}`."""
    with tracing.span(f"{method} {template}", CLIENT) as span:
        if tracing.is_recording():
            for name, value in _attributes(method, url, template, resend_count).items():
                span.set(name, value)
        yield Outgoing(span)


def _attributes(method: str, url: str, template: str, resend_count: int) -> Attributes:
    parts = urlsplit(url)
    attributes: dict[str, str | int | float | bool] = {
        "http.request.method": method,
        "url.template": template,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }
    return attributes | ({"http.request.resend_count": resend_count} if resend_count else {})
