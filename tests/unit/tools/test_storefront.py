"""The storefront under `./dev up`: what its server sends, and whom the stack lets call the services."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.at_once import meanwhile
from tests.waiting import until
from tools.services import PORTS, SERVICES, STOREFRONT
from tools.stack import dev_secrets, ports, readiness, screen
from tools.stack.spec import Options, StackSpec
from tools.stack.stack import Stack
from tools.stack.storefront import Handler, Storefront, StorefrontServer

URLS = {"user-service": "http://localhost:1", "product-service": "http://localhost:2"}
FILES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "js/cart.js": "text/javascript; charset=utf-8",
    "texts/en.json": "application/json",
    "pictures/mug.svg": "image/svg+xml",
    "notes": "application/octet-stream",
}
OUTSIDE = "outside"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; "
    "connect-src 'self' http://localhost:1 http://localhost:2; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Server": "storefront",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storefront's folder, beside a file that is none of its own."""
    site = tmp_path / "storefront"
    for name in FILES:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(f"content of {name}")
    (tmp_path / OUTSIDE).write_text("a secret")
    return site


@pytest.fixture
def server(folder: Path) -> Iterator[StorefrontServer]:
    running = StorefrontServer("127.0.0.1", 0, Storefront(folder, URLS))
    with running, meanwhile(lambda: running.serve_forever(poll_interval=0.01)):
        try:
            yield running
        finally:
            running.shutdown()


def ask(server: StorefrontServer, target: str, method: str = "GET", **headers: str) -> Reply:
    with closing(http.client.HTTPConnection(*server.server_address[:2], timeout=10)) as connection:
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.headers.items()), answer.read())


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_with_its_media_type_and_without_being_stored_unasked(
    server: StorefrontServer, name: str
) -> None:
    reply = ask(server, f"/{name}?v=1")
    assert (reply.status, reply.body) == (200, f"content of {name}".encode())
    assert (reply.headers["Content-Type"], reply.headers["Cache-Control"]) == (FILES[name], "no-cache")


def test_the_page_is_at_the_top_and_learns_where_the_services_are(server: StorefrontServer) -> None:
    assert ask(server, "/").body == b"content of index.html"
    reply = ask(server, "/services.json")
    assert (json.loads(reply.body), reply.headers["Cache-Control"]) == (URLS, "no-store")
    assert reply.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "target",
    [
        *("/nothing", "/js", "/js/", "/index.html/", "/pictures/../", "/.", "/index.html%00", "http://h/"),
        *(f"/{prefix}{OUTSIDE}" for prefix in ("../", "js/../../", "%2e%2e/", "..%2f", "..\\", "%2e%2e%5c")),
        *("//etc/passwd", "/%2fetc/passwd", "/../../../../../../etc/passwd", "//[", "/%ff"),
    ],
)
def test_nothing_else_is_sent_no_listing_and_nothing_outside_the_folder(server: StorefrontServer, target: str) -> None:
    reply = ask(server, target)
    assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(reply.body)["type"] == "not-found"


@pytest.mark.parametrize("target", ["/", "/services.json", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_every_answer_has_the_security_headers(server: StorefrontServer, method: str, target: str) -> None:
    assert ask(server, target, method).headers.items() >= HEADERS.items()


def test_a_file_that_the_browser_has_is_not_sent_again_until_it_changes(server: StorefrontServer, folder: Path) -> None:
    cart = folder / "js/cart.js"
    etag = ask(server, "/js/cart.js").headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        reply = ask(server, "/js/cart.js", **{"If-None-Match": known})
        assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", etag)
        assert reply.headers.items() >= {**HEADERS, "Cache-Control": "no-cache"}.items()
    times = cart.stat()
    cart.write_text("CONTENT of js/cart.js")
    os.utime(cart, ns=(times.st_atime_ns, times.st_mtime_ns))  # as an edit within the clock's resolution
    assert ask(server, "/js/cart.js", **{"If-None-Match": etag}).status == 200


@pytest.mark.parametrize("target", ["/", "/services.json", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(server: StorefrontServer, target: str) -> None:
    full, head = ask(server, target), ask(server, target, "HEAD")
    varying = {"Date", "X-Request-ID"}
    assert (head.status, head.body) == (full.status, b"")
    assert [item for item in head.headers.items() if item[0] not in varying] == [
        item for item in full.headers.items() if item[0] not in varying
    ]


def test_answers_without_a_body_end_with_their_headers_so_that_a_connection_can_be_used_again(
    server: StorefrontServer,
) -> None:
    etag = ask(server, "/").headers["ETag"]
    with closing(http.client.HTTPConnection(*server.server_address[:2], timeout=10)) as connection:
        for method, known in (("HEAD", ""), ("GET", etag), ("HEAD", etag), ("GET", "")):
            connection.request(method, "/", headers={"If-None-Match": known})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == (304 if known else 200)


@pytest.mark.parametrize("target", ["/", "/services.json", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(server: StorefrontServer, method: str, target: str) -> None:
    reply = ask(server, target, method)
    assert (reply.status, reply.headers["Allow"], reply.headers["Connection"]) == (405, "GET, HEAD", "close")
    document = json.loads(reply.body)
    assert document.pop("detail")
    assert document == {
        "type": "method-not-allowed",
        "title": "Method Not Allowed",
        "status": 405,
        "instance": target,
        "request_id": reply.headers["X-Request-ID"],
    }


@pytest.mark.parametrize("line", ["nonsense", "GET / HTTP/9.9", "GET /" + "x" * 70_000 + " HTTP/1.1"])
def test_a_request_that_is_none_gets_a_problem_document(server: StorefrontServer, line: str) -> None:
    with socket.create_connection(server.server_address[:2], timeout=10) as connection:
        connection.sendall(f"{line}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert 400 <= answer.status < 600
        assert json.loads(answer.read())["status"] == answer.status


def test_clients_that_hang_delay_no_other_and_are_disconnected(
    server: StorefrontServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as hanging:
        sent = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost:") * 10
        for beginning in sent:
            client = hanging.enter_context(socket.create_connection(server.server_address[:2], timeout=20))
            client.sendall(beginning)
        assert ask(server, "/").status == 200
    assert Handler.timeout == 10
    monkeypatch.setattr(Handler, "timeout", 0.1)
    with socket.create_connection(server.server_address[:2], timeout=20) as client:
        client.sendall(b"GET / HT")
        assert client.recv(1) == b""  # the end of the connection
    assert capfd.readouterr().err == ""


@pytest.fixture
def plan(tmp_path: Path) -> StackSpec:
    return make_plan(tmp_path, {})


def make_plan(state: Path, settings: dict[str, str], port: int = PORTS[STOREFRONT]) -> StackSpec:
    options = Options(mongo_url="mongodb://a:b@m/", rabbitmq_url="amqp://a:b@mq/", settings=settings)
    numbers = {**PORTS, STOREFRONT: port}
    return StackSpec(state, numbers, dev_secrets.load(state / "secrets.json"), options)


def test_the_page_learns_the_urls_that_a_browser_on_this_machine_uses(plan: StackSpec) -> None:
    program = plan.storefront_program()
    assert (program.name, program.page, program.after) == ("storefront", "http://localhost:8080", None)
    assert program.command[1:] == (
        *("-m", "tools.stack.storefront", "8080"),
        *(f"{service.name}=http://localhost:{service.port}" for service in SERVICES),
    )


@pytest.mark.parametrize("named", ["", "https://a.example,https://b.example"])
def test_the_services_answer_the_stacks_own_page_and_those_that_are_named(tmp_path: Path, named: str) -> None:
    settings = {"CORS_ORIGINS": named} if named else {}
    own = {"http://localhost:8093", "http://127.0.0.1:8093"}
    own |= {f"http://{host}:8093" for host in ports.loopback_hosts()}
    for program in make_plan(tmp_path, settings, 8093).service_programs():
        assert set(program.environment["CORS_ORIGINS"].split(",")) == own | set(filter(None, named.split(",")))


def test_a_port_of_the_page_that_is_in_use_is_no_reason_not_to_start(plan: StackSpec) -> None:
    assert STOREFRONT not in plan.ports_to_bind()


def test_the_storefront_is_ready_when_it_sends_its_page(server: StorefrontServer, folder: Path) -> None:
    urls = {STOREFRONT: "http://{}:{}".format(*server.server_address[:2])}
    until(lambda: readiness.unready(folder, urls, [STOREFRONT]) == [], "the page is there", seconds=10)
    (folder / "index.html").unlink()
    assert readiness.unready(folder, urls, [STOREFRONT]) == [STOREFRONT]
    assert readiness.unready(folder, {STOREFRONT: "http://127.0.0.1:1"}, [STOREFRONT]) == [STOREFRONT]


def test_the_page_comes_first_in_what_dev_up_prints_and_counts_for_readiness(tmp_path: Path) -> None:
    table = {
        "order-worker": {"page": "http://127.0.0.1:9470/metrics", "after": None},
        "storefront": {"page": "http://127.0.0.1:1", "after": None},
    }
    (tmp_path / "programs.json").write_text(json.dumps(table))
    stack = Stack(tmp_path)
    assert screen.summary(stack, started=True).splitlines()[1].split() == ["shop", "window", "http://127.0.0.1:1"]
    assert stack.unready() == ["storefront"]
