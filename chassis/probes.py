"""The HTTP server of a background program: its metrics, and the probes of liveness and readiness.

It is for the internal network only. `/health` and `/ready` mean what they mean on a web service.
"""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chassis.telemetry import metrics

CLIENT_TIMEOUT = 5.0  # s; a client that sends or reads nothing for longer loses its connection
JSON = "application/json"

Reply = tuple[HTTPStatus, str, bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_TIMEOUT
    is_ready: Callable[[], bool]

    def do_GET(self) -> None:
        status, kind, body = self._reply()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reply(self) -> Reply:
        match self.path.partition("?")[0]:
            case "/metrics":
                return HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.exposition()
            case "/health":
                return _status(HTTPStatus.OK, "ok")
            case "/ready" if type(self).is_ready():
                return _status(HTTPStatus.OK, "ready")
            case "/ready":
                return _status(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
        return _status(HTTPStatus.NOT_FOUND, "not found")

    def version_string(self) -> str:
        return "shop"

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: probes come every few seconds."""


def _status(status: HTTPStatus, text: str) -> Reply:
    return status, JSON, json.dumps({"status": text}).encode()


def serve(host: str, port: int, is_ready: Callable[[], bool]) -> None:
    """Serve `/metrics`, `/health` and `/ready` in a thread. Raises OSError if the port is in use."""
    handler = type("Handler", (_Handler,), {"is_ready": staticmethod(is_ready)})
    server = ThreadingHTTPServer((host, port), handler)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
