"""A small HTTP server in the test's own process, which answers what the test says and remembers what it was asked."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.at_once import meanwhile


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], tuple[int, Any] | None]


@dataclass
class LocalServer:
    """What to answer, (status, JSON body) for a request or None to lose the answer, and what was asked so far."""

    url: str
    answer: Answer
    requests: list[Asked] = field(default_factory=list)


@contextmanager
def serving(answer: Answer) -> Iterator[LocalServer]:
    """Serve on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            local.requests.append(asked)
            if (answered := local.answer(asked)) is None:
                return  # and the connection closes
            status, content = answered
            encoded = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client may have given up
                self.wfile.write(encoded)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        local = LocalServer(f"http://127.0.0.1:{server.server_port}", answer)
        with meanwhile(lambda: server.serve_forever(poll_interval=0.01)):
            try:
                yield local
            finally:
                server.shutdown()
