"""The storefront's two servers, that of `./dev up` and the gateway, answer alike; and what only the gateway does."""

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.at_once import meanwhile
from tests.integration.gateway import ENVIRONMENT, STOREFRONT, Gateway, running
from tests.waiting import until
from tools.services import PORTS, local_urls
from tools.stack.storefront import MEDIA_TYPES, Storefront, StorefrontServer

URLS = local_urls(PORTS, "localhost")
CONTENT = "the same words, again and again, and again" * 20
FILES = ["index.html", *(f"folder/file{suffix}" for suffix in MEDIA_TYPES), "plain"]
OUTSIDE = "a secret"
# What may differ: names, times, how validators are made, and what one of them does in addition.
OWN = {"Accept-Ranges", "Connection", "Date", "ETag", "Last-Modified", "Server", "Vary", "X-Request-ID"}
Ask = Callable[..., tuple[http.client.HTTPResponse, bytes]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "storefront"
    (folder / "folder").mkdir(parents=True)
    (folder.parent / "outside").write_text(OUTSIDE)
    for name in FILES:
        (folder / name).write_text(CONTENT)
    return folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), site=site) as started:
        yield started


@pytest.fixture(scope="module")
def of_the_gateway(gateway: Gateway) -> Ask:
    return lambda target, **request: gateway.ask(target, port=STOREFRONT, **request)


@pytest.fixture(scope="module")
def of_dev(site: Path) -> Iterator[Ask]:
    server = StorefrontServer("127.0.0.1", 0, Storefront(site, URLS))
    with server, meanwhile(lambda: server.serve_forever(poll_interval=0.01)):
        direct = Gateway({STOREFRONT: server.server_address[1]}, [], site)
        try:
            yield lambda target, **request: direct.ask(target, port=STOREFRONT, **request)
        finally:
            server.shutdown()


def common(answer: http.client.HTTPResponse, *, ignored: set[str] = OWN) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ignored}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/", "/?page=2", *(f"/{name}" for name in FILES), "/services.json"])
def test_both_send_the_same_files_with_the_same_headers(
    of_the_gateway: Ask, of_dev: Ask, target: str, method: str
) -> None:
    (ours, content), (theirs, other) = of_dev(target, method=method), of_the_gateway(target, method=method)
    assert (ours.status, content) == (theirs.status, other) == (200, other)
    assert common(ours) == common(theirs)
    assert {"Content-Security-Policy", "Content-Type", "Cache-Control", "Content-Length"} <= common(ours).keys()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("target", ["/nothing", "/folder", "/folder/", "/index.html/", "/.gateway/problem"])
def test_both_refuse_the_same_with_the_same_headers(of_the_gateway: Ask, of_dev: Ask, target: str, method: str) -> None:
    (ours, content), (theirs, other) = of_dev(target, method=method), of_the_gateway(target, method=method)
    assert ours.status == theirs.status == (404 if method in ("GET", "HEAD") else 405)
    assert common(ours, ignored={*OWN, "Content-Length"}) == common(theirs, ignored={*OWN, "Content-Length"})
    assert {"Content-Security-Policy", "Cache-Control"} <= common(ours).keys()
    if method != "HEAD":
        for answer, document in ((ours, json.loads(content)), (theirs, json.loads(other))):
            assert document.pop("detail")
            assert document.pop("request_id") == answer.headers["X-Request-ID"]
        mine, its = json.loads(content), json.loads(other)
        assert [mine[key] for key in ("type", "title", "status")] == [its[key] for key in ("type", "title", "status")]
        assert mine.keys() == its.keys()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("target", ["/", "/services.json", "/folder/file.js"])
def test_both_answer_get_and_head_only(of_the_gateway: Ask, of_dev: Ask, target: str, method: str) -> None:
    for ask in (of_the_gateway, of_dev):
        answer, _ = ask(target, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "target",
    [
        *("/../outside", "/folder/../../outside", "/%2e%2e/outside", "/..%2foutside", "/folder/..%2f..%2foutside"),
        *("/%2e%2e%2foutside", "//../outside", "/./../outside", "/..\\outside", "/%5c..%5coutside", "/index.html%00"),
        *("//etc/passwd", "/%2fetc/passwd", "/../../../../../../../../etc/passwd"),
    ],
)
def test_both_send_nothing_from_outside_the_folder(of_the_gateway: Ask, of_dev: Ask, target: str) -> None:
    for ask in (of_the_gateway, of_dev):
        answer, content = ask(target)
        assert answer.status in (400, 404)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert OUTSIDE.encode() not in content


@pytest.mark.parametrize("target", ["/", "/folder/file.js"])
def test_both_say_when_nothing_has_changed(of_the_gateway: Ask, of_dev: Ask, target: str) -> None:
    answers = []
    for ask in (of_the_gateway, of_dev):
        etag = ask(target)[0].headers["ETag"]
        answer, content = ask(target, **{"If-None-Match": etag})
        assert (answer.status, content, answer.headers["ETag"]) == (304, b"", etag)
        assert ask(target, **{"If-None-Match": '"other"'})[0].status == 200
        answers.append(common(answer))
    assert answers[0] == answers[1]


def test_the_page_learns_the_ports_of_this_host_or_the_public_urls(tmp_path: Path, site: Path) -> None:
    public = "https://users.example.com"
    environment = {**ENVIRONMENT, "PUBLIC_USER_SERVICE_URL": public, "ORDER_PORT": "6003"}
    with running(tmp_path, environment, site) as gateway:
        answer, body = gateway.ask("/services.json", port=STOREFRONT)
    expected = {**URLS, "user-service": public, "order-service": "http://localhost:6003"}
    assert json.loads(body) == expected
    policy = answer.headers["Content-Security-Policy"]
    assert f"connect-src 'self' {' '.join(expected.values())};" in policy
    assert "Strict-Transport-Security" not in answer.headers


def test_in_production_a_browser_loads_the_page_by_tls_only(tmp_path: Path, site: Path) -> None:
    with running(tmp_path, site=site, proxied=True) as gateway:
        for target in ("/", "/services.json", "/nothing"):
            answer, _ = gateway.ask(target, port=STOREFRONT)
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_browser_gets_texts_compressed_by_the_gateway(of_the_gateway: Ask) -> None:
    for target in ("/", *(f"/folder/file{suffix}" for suffix in MEDIA_TYPES), "/services.json"):
        answer, content = of_the_gateway(target, **{"Accept-Encoding": "gzip"})
        assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding"), target
        assert gzip.decompress(content) == of_the_gateway(target)[1]
        if etag := answer.headers["ETag"]:
            assert of_the_gateway(target, **{"Accept-Encoding": "gzip", "If-None-Match": etag})[0].status == 304


def test_the_gateway_logs_who_asks_for_the_page_but_not_its_own_health_check(gateway: Gateway) -> None:
    gateway.ask("/plain", port=STOREFRONT, **{"X-Request-ID": "own-check"})
    gateway.ask("/plain?email=ada@example.com", port=STOREFRONT, source="127.0.0.2", **{"X-Request-ID": "somebody"})
    until(lambda: "somebody" in gateway.access_log.read_text(), "it is logged", seconds=10)
    assert "own-check" not in (log := gateway.access_log.read_text())
    line = json.loads(next(line for line in log.splitlines() if "somebody" in line))
    assert line.items() >= {"service": "gateway", "method": "GET", "path": "/plain", "status": "200"}.items()
    assert "ada@example.com" not in log
