"""A receiver of traces for a machine without Docker: `python -m tools.observe.trace_receiver 4318`.

It takes what OpenTelemetry's exporters send by OTLP over HTTP (protobuf), keeps the latest spans in memory, and answers
`GET /spans?trace_id=`, `?order_id=` and `?linked_to=` (of another trace) with a JSON list. It listens on 127.0.0.1.
"""

import dataclasses
import json
import sys
import zlib
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tools.observe.spans import Span, SpanStore, decode

MAX_BODY = 4 * 2**20  # bytes, also after decompression; a full batch of an exporter (512 spans) has about 0.3 MB
IDLE_TIMEOUT = 60.0  # s; then an exporter opens a new connection


class TooLarge(Exception):
    """The body is larger than `MAX_BODY`."""


class Handler(BaseHTTPRequestHandler):
    """Answers exporters and readers."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    server: "TraceReceiver"

    def do_POST(self) -> None:
        """Take the spans of an exporter."""
        if urlsplit(self.path).path != "/v1/traces":
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            self.take(self._body())
        except TooLarge:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except (ValueError, zlib.error):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        return self._answer(HTTPStatus.OK, "application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

    def do_GET(self) -> None:
        """Answer with spans."""
        url = urlsplit(self.path)
        if url.path != "/spans":
            return self._refuse(HTTPStatus.NOT_FOUND)
        spans = select(self.server.spans, dict(parse_qsl(url.query)))
        body = json.dumps([dataclasses.asdict(span) for span in spans]).encode()
        return self._answer(HTTPStatus.OK, "application/json", body)

    def take(self, body: bytes) -> None:
        """Keep the spans of a request. Raises ValueError."""
        self.server.spans.add(decode(body))

    def _body(self) -> bytes:
        """Return the body, decompressed. Raises TooLarge before it is read, or ValueError."""
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdecimal()):
            raise ValueError("no Content-Length")
        if int(size) > MAX_BODY:
            raise TooLarge
        body = self.rfile.read(int(size))
        return _decompressed(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with a status, and close the connection: the body may not have been read."""
        self.close_connection = True
        self._answer(status, "text/plain", f"{status.phrase}\n".encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        with suppress(OSError):  # the exporter may have given up
            self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Log nothing: exporters send every few seconds."""


class TraceReceiver(ThreadingHTTPServer):
    """Listens on a port of 127.0.0.1; 0 is a free one."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[Handler] = Handler) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.spans = SpanStore()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: exporters that were killed leave broken connections."""

    @property
    def url(self) -> str:
        """Return the endpoint for exporters."""
        return f"http://127.0.0.1:{self.server_port}"


def select(spans: SpanStore, query: dict[str, str]) -> list[Span]:
    """Return the spans that a query asks for; without one, all."""
    if order_id := query.get("order_id"):
        return list(spans.of_traces(lambda span: span.concerns(order_id)))
    if linked_to := query.get("linked_to"):
        return [
            span
            for span in spans.of_traces(lambda span: linked_to in {link.trace_id for link in span.links})
            if span.trace_id != linked_to
        ]
    trace_id = query.get("trace_id")
    return [span for span in spans.all() if trace_id in (None, span.trace_id)]


def _decompressed(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip
    content = decompressor.decompress(body, MAX_BODY)
    if decompressor.unconsumed_tail:
        raise TooLarge
    return content


if __name__ == "__main__":
    TraceReceiver(int(sys.argv[1])).serve_forever()
