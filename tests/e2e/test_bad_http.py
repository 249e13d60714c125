"""What is not even valid HTTP is answered like every other error: with a problem document."""

import json
import socket
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from chassis.web.headers import SECURITY_HEADERS
from tests.e2e.shop import Shop

HOST, JSON = b"Host: shop\r\n", b"Content-Type: application/json\r\n"
BAD = {
    "no request line": (b"nonsense\r\n\r\n", {400}),
    "a header without a name": (b"GET /health HTTP/1.1\r\n" + HOST + b": value\r\n\r\n", {400}),
    "a header that is too long": (
        b"GET /health HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n",
        {431},
    ),
    "a URL that is too long": (b"GET /health?" + b"x" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    "two lengths": (
        b"POST /login HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        {400},
    ),
    "a chunk without a size": (
        b"POST /login HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        {400},
    ),
    "an unknown transfer coding": (b"POST /login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", {400}),
}


TITLES = {
    400: "Bad Request",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_valid_http_is_answered_with_a_problem_document(shop: Shop, bad: str) -> None:
    request, expected = BAD[bad]
    address = urlsplit(shop.user_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        problem = json.loads(answer.read())
    assert answer.status in expected
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["title"]) == (answer.status, TITLES[answer.status])
    assert {name: answer.headers[name] for name, _ in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert {"type", "title", "detail", "instance"} < set(problem)
    assert "x" * 20 not in json.dumps(problem)
