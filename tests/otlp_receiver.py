"""A collector of traces in the test's own process: it keeps what it is sent, or behaves badly."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.at_once import meanwhile
from tests.local_server import Answer, Asked, LocalServer, serving


class Received(NamedTuple):
    """A span as it arrived, and its program's attributes."""

    span: Any
    resource: dict[str, str]

    @property
    def attributes(self) -> dict[str, Any]:
        return attributes(self.span.attributes)


def attributes(pairs: Any) -> dict[str, Any]:
    """Return OTLP's pairs of names and values as a dict."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class Collector:
    """What was sent to a server so far."""

    def __init__(self, server: LocalServer) -> None:
        self.url, self._server, self.goes_on = server.url, server, threading.Event()

    @property
    def requests(self) -> list[Asked]:
        return list(self._server.requests)

    @property
    def received(self) -> list[Received]:
        return [
            Received(span, attributes(program.resource.attributes))
            for request in self.requests
            for program in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for scope in program.scope_spans
            for span in scope.spans
        ]

    def only(self) -> Received:
        [received] = self.received
        return received


@contextmanager
def collecting(answer: Answer = lambda _: (200, {})) -> Iterator[Collector]:
    """Collect spans until the block ends; `answer` may refuse them."""
    with serving(answer) as server:
        yield Collector(server)


@contextmanager
def hanging() -> Iterator[Collector]:
    """Accept requests and answer none of them before the event `goes_on`, or the end of the block."""

    def answer(_: Asked) -> tuple[int, Any]:
        collector.goes_on.wait(60)
        return 200, {}

    with collecting(answer) as collector:
        try:
            yield collector
        finally:
            collector.goes_on.set()


@contextmanager
def dripping() -> Iterator[str]:
    """Answer each request with a byte of a header every few milliseconds, which never ends. Yield the URL."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client may have given up
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not ended.wait(0.02):
                connection.sendall(b"x")

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                threading.Thread(target=drip, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.02)
        with meanwhile(accept, stop=ended):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
