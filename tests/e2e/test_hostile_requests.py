"""Never a server error: hostile values of every standard header, odd methods and targets, odd query parameters.

Every header goes to every route of every service, with all values that are hostile to it in particular and some of
those that are to any, in turn. Whoever calls is let in, so that requests get as far as they can.
"""

import http.client
import itertools
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.e2e.shop import Shop
from tests.e2e.test_access import BODIES, CALLERS, EVERY_SERVICE, Row, World, rows

SERVICES = tuple(dict.fromkeys(row.service for row in rows()))
GENERIC_EACH = 2
LOOKED_AT_LAST = ("Idempotency-Key", "If-Match", "If-None-Match")  # when the body is found to be valid
_NAMES = """
Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Access-Control-Request-Method
Authorization Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length
Content-Location Content-Range Content-Type Cookie Date Expect Forwarded From Host Idempotency-Key If-Match
If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Max-Forwards Origin Pragma Prefer
Proxy-Authorization Range Referer TE Trailer Transfer-Encoding Upgrade User-Agent Via Warning X-Forwarded-For
X-Forwarded-Host X-Forwarded-Proto X-HTTP-Method-Override X-Request-ID traceparent
"""
HEADERS = _NAMES.split()
GENERIC = [
    *(b"", b" ", b"\t", b"\xa0", b"a, \xa0", b"\xff\xfe", b"\xc3\xa9", b"\x7f", b"\x85", b",", b";", b"=", b'"', b'"a'),
    *(b"*", b"0", b"-1", b"+1", b"1_000", b"0x10", b"1e400", b"1, 1", b"\xb2", b"9" * 30, b"9" * 5000, b"x" * 3000),
    *(b"a; b*=bogus''%ff%; b*0=x; c*\xb2=d", b'a="\\777"', b'a="\\', b"%00", b"a b", b"http://[", b"\xb2=\xb2;\xb2"),
]
SPECIAL = {
    ("If-Modified-Since", "If-Unmodified-Since", "If-Range", "Date"): [
        *(b"Thu, 01 Jan 99999 00:00:00 GMT", b"Thu, 0\xb2 Jan 2020 00:00:00 GMT", b"Thu, 01 Jan 0000 00:00:00 GMT"),
        *(b"Wed, 21 Oct 2015 07:28:00 -9999999999", b"Mon, 99 Foo 0000 99:99:99 +9999", b"1 Jan"),
        *(b"Thu, 01 Jan " + b"9" * 50 + b" 00:00:00 GMT", b"Thu, 01 Jan 2020 00:00:00 +" + b"9" * 400),
    ],
    ("Authorization", "Proxy-Authorization"): [
        *(
            b"Basic ====",
            b"Basic \xff",
            b"Basic 7aCAOg==",
            b"Basic 4pyT",
            b"basic",
            b"Bearer",
            b'Digest a="',
            b"\xff \xff",
        ),
        *(b"Bearer \xff.\xff.\xff", b"Bearer a.b.c", b"Bearer a, \xa0", b"Bearer e30.e30.", b"Negotiate \xff"),
    ],
    ("Range", "Content-Range", "If-Range"): [
        *(b"bytes=0-", b"bytes=-", b"bytes=\xb2-", b"bytes=0-0,2-1", b"bytes=-0", b"x=0-1", b"bytes 0-1/\xb2"),
        *(b"bytes=" + b"9" * 5000 + b"-", b"bytes=0-" + b"9" * 5000),
    ],
    ("If-Match", "If-None-Match", "If-Range"): [
        b"W/",
        b'W/"',
        b'"',
        b'"a", W/"b", \xa0',
        b'"\xff"',
        b'"' + b"x" * 3000,
    ],
    ("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "TE", "Content-Type", "Content-Encoding"): [
        *(
            b"gzip",
            b"br",
            b"gzip, br",
            b"*;q=0",
            b"text/html;q=1e400",
            b"*/*;q=nan",
            b"en-\xff;q=0.\xb2",
            b"text/*;q=-1;a",
        ),
    ],
    ("Content-Encoding", "Accept-Encoding"): [  # with those above, all that are registered
        *(
            b"deflate",
            b"zstd",
            b"compress",
            b"x-gzip",
            b"x-compress",
            b"identity",
            b"dcb",
            b"dcz",
            b"aes128gcm",
            b"exi",
        ),
        b"pack200-gzip",
    ],
    ("Content-Type",): [
        *(b"application/json; charset=\xff", b"application/json; charset=utf-7", b"application/json; charset*=x''%"),
        *(b"multipart/form-data", b'multipart/form-data; boundary="\xff', b"multipart/form-data; boundary*=bogus''a"),
        b"application/x-www-form-urlencoded; charset=bogus",
    ],
    ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Host", "Origin", "Referer"): [
        *(
            b'for="_x;by=[::',
            b"1.2.3.4:\xb2",
            b"[::1",
            b"[::1]:\xb2",
            b"localhost:99999999",
            b"xn--a",
            b"\xdf.de",
            b"..",
        ),
    ],
    ("Transfer-Encoding", "Connection", "Expect", "traceparent"): [
        *(b"chunked", b"chunked, chunked", b"gzip, chunked", b"100-continue", b"close, \xa0", b"Host", b"bogus"),
        b"00-" + b"f" * 32 + b"-" + b"0" * 16 + b"-zz",
    ],
}
METHODS = (
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PURGE",
    "PRI",
    "get",
    "M-SEARCH",
    "BREW",
    "X" * 300,
    "GET\x00",
    "GE\u00b2",
    "(",
    "",
)
TARGETS = (
    *(
        "*",
        "/",
        "//",
        "///products",
        "/\x00",
        "/%00",
        "/%ff",
        "/%ED%A0%80",
        "/\xff",
        "/%",
        "/%zz",
        "/..",
        "/../../etc/passwd",
    ),
    *(
        "/products/%2e%2e/%2e%2e",
        "/docs/assets/../../secret",
        "/docs/assets/%2e%2e%2f%2e%2e%2fsetup.py",
        "/docs/assets/%00",
    ),
    *(
        "http://[",
        "http://evil.example/products",
        "evil.example:443",
        "products",
        "?",
        "/?",
        "/products?",
        "/products??&=&",
    ),
    *("/products/" + "a" * 3000, "/" + "a/" * 1000, "/products;a=b", "/products#x", "/users/me%20", "/orders/\u202e"),
)
QUERY_VALUES = (
    "",
    "\x00",
    " ",
    "%",
    "a" * 3000,
    "9" * 3000,
    "-1",
    "NaN",
    "\ud83d\ude00",
    "\u202e",
    "[]",
    "{}",
    "$ne",
    "null",
)


@dataclass(frozen=True)
class Door:
    """A route of a service, with what lets a caller in."""

    method: str
    path: str
    parameters: tuple[str, ...]
    token: str | None
    body: bytes | None


@pytest.fixture(scope="module")
def world(shop: Shop) -> Iterator[World]:
    if shop.stack is None and not shop.mongo_url:
        pytest.skip("fills the shop with rubbish")
    made = World(shop)
    yield made
    made.close()


COSTLY = ("/register", "/login", "/users/me/password", "/refresh", "/logout")  # each would hash a password


def doors(world: World, service: str) -> list[Door]:
    paths = requests.get(f"{world.shop.urls[service]}/openapi.json", timeout=30).json()["paths"]
    order_id, found = world.order(), []
    for row in (row for row in rows() if row.service == service):
        named = {"order_id": order_id, "user_id": world.other.id}
        path = row.path.format(product_id="none" if row.method == "DELETE" else world.mug, **named)
        described = paths.get(row.path, {}).get(row.method.lower(), {}).get("parameters", [])
        parameters = tuple(p["name"] for p in described if p["in"] == "query")
        found.append(Door(row.method, path, parameters, _token(world, row), _body(world, row)))
    return [
        *found,
        Door("GET", "/docs/assets/css/swagger-ui.css", (), None, None),
        Door("GET", "/nothing", (), None, None),
    ]


def _token(world: World, row: Row) -> str | None:
    let_in = [caller for caller, status in zip(CALLERS, row.expected, strict=True) if status < 400]
    return world.token(let_in[-1] if let_in and row.expected[0] >= 400 else "anonymous")


def _body(world: World, row: Row) -> bytes | None:
    if row.path == "/token":
        return b"grant_type=client_credentials"
    if row.method not in ("POST", "PUT", "PATCH"):
        return None
    make = BODIES.get((row.method, row.path), lambda *_: {}) if row.path not in COSTLY else lambda *_: {}
    return json.dumps(make(world, "customer")).encode()


class Knocker:
    """Sends requests over one connection that is opened again when it was closed."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)

    def knock(self, door: Door, target: str = "", header: tuple[str, bytes] | None = None) -> str:
        """Send a request, one of its headers replaced; return what is wrong with the answer, else nothing."""
        body = door.body if header and header[0] in LOOKED_AT_LAST else door.body and b"{}"
        headers = {"Host": b"localhost", **({"Authorization": f"Bearer {door.token}".encode()} if door.token else {})}
        if body is not None:
            kind = b"application/x-www-form-urlencoded" if door.path == "/token" else b"application/json"
            headers |= {"Content-Type": kind, "Content-Length": str(len(body)).encode()}
        if header:
            headers[header[0]] = header[1]
        try:
            self._connection.putrequest(door.method, target or door.path, skip_host=True, skip_accept_encoding=True)
            for key, text in headers.items():
                self._connection.putheader(key, text)
            self._connection.endheaders(body)
            self._connection.sock.shutdown(socket.SHUT_WR)  # a length that is not sent must not be waited for
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            return f"no answer: {exc!r}"
        finally:
            self._connection.close()
        if answer.status >= 500:
            return f"{answer.status} {content[:200]!r}"
        return ""


@pytest.mark.parametrize("service", SERVICES)
def test_no_value_of_a_header_makes_a_service_fail(world: World, service: str) -> None:
    knocker, generic = Knocker(world.shop.urls[service]), itertools.cycle(GENERIC)
    wrong = {}
    for door in doors(world, service):
        for header in HEADERS:
            special = [value for headers, values in SPECIAL.items() if header in headers for value in values]
            for value in (*special, *itertools.islice(generic, GENERIC_EACH)):
                if fault := knocker.knock(door, header=(header, value)):
                    wrong[door.method, door.path, header, value[:40]] = fault
    assert wrong == {}


@pytest.mark.parametrize("service", SERVICES)
def test_no_query_parameter_makes_a_service_fail(world: World, service: str) -> None:
    knocker = Knocker(world.shop.urls[service])
    wrong = {}
    for door in doors(world, service):
        for name in (*door.parameters, "unknown"):
            queries = [f"{name}={quote(value, errors='surrogatepass')}" for value in QUERY_VALUES]
            for query in (name, f"{name}=1&{name}=2", f"{name}[]=1", f"{name}=%ff", *queries):
                if fault := knocker.knock(door, f"{door.path}?{query}"):
                    wrong[door.method, door.path, query[:60]] = fault
    assert wrong == {}


@pytest.mark.parametrize("service", SERVICES)
def test_no_method_or_target_makes_a_service_fail(shop: Shop, service: str) -> None:
    described = requests.get(f"{shop.urls[service]}/openapi.json", timeout=30).json()["paths"]
    paths = [re.sub(r"{\w+}", "x", path) for path in (*described, *EVERY_SERVICE)]
    lines = [(method, path) for method in METHODS for path in paths]
    lines += [(method, target) for method in ("GET", "POST", "OPTIONS") for target in TARGETS]
    wrong = {line: fault for line in lines if (fault := _fault(shop.urls[service], *line))}
    assert wrong == {}


def _fault(url: str, method: str, target: str) -> str:
    """Send a request line as it is; return what is wrong with the answer, else nothing."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        line = f"{method} {target} HTTP/1.1\r\n".encode("utf-8", errors="surrogatepass")
        connection.sendall(line + b"Host: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        answer = http.client.HTTPResponse(connection, method=method if method == "HEAD" else None)
        try:
            answer.begin()
            content = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            return f"no answer: {exc!r}"
    is_problem = answer.headers["Content-Type"] == "application/problem+json"
    if answer.status >= 500 or (answer.status >= 400 and not is_problem):
        return f"{answer.status} {content[:200]!r}"
    return ""


@pytest.mark.parametrize("size", [1 << 20, 2 << 20, 7 << 20])
def test_a_chunked_body_is_never_taken_for_less_than_it_is(world: World, size: int) -> None:
    product: dict[str, Any] = {"name": "cut", "price": "1", "stock": 1}
    start = json.dumps(product).encode()
    chunks = iter([start, b" " * ((1 << 20) - len(start)), b"}" * (size - (1 << 20) + 1)])
    headers = {"Authorization": f"Bearer {world.token('admin')}", "Content-Type": "application/json"}
    answer = requests.post(f"{world.shop.product_url}/products", data=chunks, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (413, "content-too-large")
