"""Serve the storefront under `./dev up`: `python -m tools.stack.storefront PORT NAME=URL ...`, a URL for each service.

Under docker compose the gateway does the same (deploy/gateway/storefront.conf.template); a test compares their answers.
To serve another type of file, add it to `MEDIA_TYPES` here and to `types` there.
"""

import hashlib
import json
import socket
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from urllib.parse import unquote

from tools.paths import STOREFRONT
from tools.stack import ports

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
IDLE_TIMEOUT = 10.0  # s; a client that sends nothing for so long loses its connection, as at the gateway


@dataclass(frozen=True)
class Answer:
    """What a request gets, beside the headers that every answer has."""

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes = b""


class Storefront:
    """The files of a folder, and the URLs of the services by name, which the page reads from `/services.json`."""

    def __init__(self, folder: Path, urls: Mapping[str, str]) -> None:
        self._folder = folder
        self._urls = dict(urls)
        self.headers = security_headers(self._urls.values())

    def answer(self, path: str, if_none_match: str = "") -> Answer:
        """Return the answer to a GET request. The path has no query and is decoded."""
        if path == "/services.json":
            headers = {"Content-Type": MEDIA_TYPES[".json"], "Cache-Control": "no-store"}
            return Answer(HTTPStatus.OK, headers, json.dumps(self._urls).encode())
        file = self._find(path)
        return _content(file, if_none_match) if file else problem(HTTPStatus.NOT_FOUND, path)

    def _find(self, path: str) -> Path | None:
        """Return the file of a path. No path leads out of the folder: it is compared with those of the files there."""
        wanted = "/index.html" if path == "/" else path
        files = (file for file in self._folder.rglob("*") if file.is_file())
        return next((file for file in files if f"/{file.relative_to(self._folder).as_posix()}" == wanted), None)


def security_headers(urls: Iterable[str]) -> dict[str, str]:
    """Return the headers of every answer: the page runs its own scripts only, and calls these URLs only."""
    policy = (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' https:"),
        f"connect-src 'self' {' '.join(urls)}",
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        *("require-trusted-types-for 'script'", "trusted-types 'none'"),
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _content(file: Path, if_none_match: str) -> Answer:
    """Return a file, or 304 if the client has it. The ETag is made of the content: an edit always changes it."""
    content = file.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    validators = {"Cache-Control": "no-cache", "ETag": etag}
    if etag in (known.strip().removeprefix("W/") for known in if_none_match.split(",")):
        return Answer(HTTPStatus.NOT_MODIFIED, validators)
    media_type = MEDIA_TYPES.get(file.suffix, "application/octet-stream")
    return Answer(HTTPStatus.OK, {"Content-Type": media_type, **validators}, content)


def problem(status: HTTPStatus, path: str) -> Answer:
    """Return a problem document (RFC 9457)."""
    request_id = uuid.uuid4().hex
    document = {
        "type": status.phrase.lower().replace(" ", "-"),
        "title": status.phrase,
        "status": status.value,
        "detail": status.description or status.phrase,
        "instance": path,
        "request_id": request_id,
    }
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Request-ID": request_id}
    allow = {"Allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return Answer(status, {**headers, **allow}, json.dumps(document).encode())


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # not 0.9, in which an answer has no headers
    timeout = IDLE_TIMEOUT
    path = "/"  # of a request that is too broken to have one
    server: "StorefrontServer"

    def do_GET(self) -> None:
        """Send a file, or the URLs of the services."""
        self._send(self.server.storefront.answer(self._path(), self.headers.get("If-None-Match", "")))

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request, and close the connection: its body was not read. Python wants 501 for other methods."""
        status = HTTPStatus(405 if code == HTTPStatus.NOT_IMPLEMENTED else code)
        self.close_connection = True
        self._send(problem(status, self._path()))

    def _path(self) -> str:
        return unquote(self.path.partition("?")[0])

    def _send(self, answer: Answer) -> None:
        length = {} if answer.status == HTTPStatus.NOT_MODIFIED else {"Content-Length": str(len(answer.body))}
        closing = {"Connection": "close"} if self.close_connection else {}
        self.send_response(answer.status)
        for name, value in {**self.server.storefront.headers, **answer.headers, **length, **closing}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        """Return the `Server` header, without versions."""
        return "storefront"

    def log_message(self, *_args: object) -> None:
        """Log nothing: a browser shows its requests itself."""


class StorefrontServer(ThreadingTCPServer):
    """Listens on one address. Each connection has a thread, so that a client that hangs delays no other."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, storefront: Storefront) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.storefront = storefront
        super().__init__((host, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the traceback of a bug. A client that has gone away is none."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    """Serve on every address of `localhost`."""
    storefront = Storefront(STOREFRONT, dict(argument.split("=", 1) for argument in sys.argv[2:]))
    hosts = (host.strip("[]") for host in ports.loopback_hosts())
    for server in [StorefrontServer(host, int(sys.argv[1]), storefront) for host in hosts]:
        Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
