"""Requests mean what HTTP says (RFC 9110, RFC 9112): schemes, conditions, bodies without a length, codings, hosts."""

import io
import json
from typing import Any

import pytest
from flask import Response, jsonify
from flask.testing import FlaskClient

from chassis.auth.access import public
from chassis.schemas import Body
from chassis.web import json_bodies
from chassis.web.app import make_app
from chassis.web.conditions import check_conditions, conditional

BODY = b'{"name": "cut"}'
PROBLEM = "application/problem+json"


class Thing(Body):
    name: str


@pytest.fixture
def client() -> FlaskClient:
    app = make_app("shop", "shop", "")

    @app.post("/things")
    @public
    def add(body: Thing) -> Response:
        return jsonify(name=body.name)

    @app.patch("/things")
    @public
    def change(body: Thing) -> Response:
        return jsonify(name=body.name)

    @app.put("/tagged")
    @conditional
    @public
    def replace() -> Response:
        return jsonify(exactly=check_conditions("7"))

    return app.test_client()


def send_chunked(client: FlaskClient, body: bytes) -> Any:
    """Send a body as gunicorn passes on one that came in chunks: it has an end but no length."""
    stream = io.BytesIO(body)
    environ = {"wsgi.input_terminated": True, "wsgi.input": stream}
    answer = client.post("/things", content_type="application/json", environ_overrides=environ)
    return answer, stream


def test_a_chunked_body_is_read_as_a_whole(client: FlaskClient) -> None:
    answer, _ = send_chunked(client, BODY)
    assert (answer.status_code, answer.json) == (200, {"name": "cut"})


@pytest.mark.parametrize("size", [json_bodies.MAX_BODY + 1, 7 << 20, json_bodies.MAX_BODY + len(BODY)])
def test_a_chunked_body_that_is_too_large_is_never_cut_off(client: FlaskClient, size: int) -> None:
    body = BODY + b" " * (json_bodies.MAX_BODY - len(BODY)) + b"}" * (size - json_bodies.MAX_BODY)
    answer, stream = send_chunked(client, body)
    assert (answer.status_code, answer.json["type"]) == (413, "content-too-large")
    assert stream.read(1) == b""  # all of it was read, so that the client gets the answer


class BrokenStream(io.BytesIO):
    """A body whose connection breaks."""

    def read(self, _size: int | None = -1) -> bytes:
        raise OSError("the connection is closed")


@pytest.mark.parametrize("environ", [{"wsgi.input_terminated": True}, {"CONTENT_LENGTH": "9"}])
def test_a_body_that_breaks_off_is_400(client: FlaskClient, environ: dict[str, Any]) -> None:
    environ = {"wsgi.input": BrokenStream(), **environ}
    answer = client.post("/things", content_type="application/json", environ_overrides=environ)
    assert (answer.status_code, answer.json["type"]) == (400, "bad-request")


def test_a_chunked_body_that_just_fits_is_taken(client: FlaskClient) -> None:
    assert send_chunked(client, BODY + b" " * (json_bodies.MAX_BODY - len(BODY)))[0].status_code == 200


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        ("PATCH", "application/merge-patch+json", 200),
        ("PATCH", "application/json", 200),
        ("POST", "application/merge-patch+json", 415),
        ("PATCH", "application/json-patch+json", 415),
    ],
)
def test_only_patch_takes_a_merge_patch(client: FlaskClient, method: str, content_type: str, status: int) -> None:
    assert client.open("/things", method=method, data=BODY, content_type=content_type).status_code == status


@pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("gzip", 415), ("br", 415), ("identity, gzip", 415)])
def test_a_body_with_a_content_coding_is_refused_with_accept_encoding(
    client: FlaskClient, coding: str, status: int
) -> None:
    answer = client.post("/things", data=BODY, content_type="application/json", headers={"Content-Encoding": coding})
    assert answer.status_code == status
    assert answer.headers.get("Accept-Encoding") == (None if status == 200 else "identity")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"1"'}, 412),
        ({"If-Match": "unquoted"}, 412),
    ],
)
def test_no_if_match_matches_a_resource_without_an_etag(
    client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/things", data=BODY, content_type="application/json", headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (200, False)),
        ({"If-Match": "*"}, (200, False)),
        ({"If-Match": '"6", "7"'}, (200, True)),
        ({"If-Match": '"6"'}, (412, None)),
        ({"If-Match": 'W/"7"'}, (412, None)),
        ({"If-None-Match": '"6"'}, (200, False)),
        ({"If-None-Match": 'W/"7"'}, (412, None)),
        ({"If-None-Match": "*"}, (412, None)),
        ({"If-None-Match": '"6"', "If-Match": '"7"'}, (200, True)),
    ],
)
def test_the_conditions_of_a_write_are_obeyed(
    client: FlaskClient, headers: dict[str, str], expected: tuple[int, bool | None]
) -> None:
    answer = client.put("/tagged", headers=headers)
    assert (answer.status_code, answer.json.get("exactly")) == expected


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example.com", 200),
        ("localhost:5001", 200),
        ("[::1]:5001", 200),
        ("", 200),
        ("a b", 400),
        ("a/b", 400),
        ("a@b", 400),
        ("[::1", 400),
        ("a:b", 400),
        ("m\xfcller", 400),
    ],
)
def test_an_invalid_host_is_refused(client: FlaskClient, host: str, status: int) -> None:
    answer = client.put("/tagged", environ_overrides={"HTTP_HOST": host})
    assert (answer.status_code, answer.mimetype) == (status, "application/json" if status == 200 else PROBLEM)


@pytest.mark.parametrize(("protocol", "status"), [("HTTP/1.1", 400), ("HTTP/1.0", 200)])
def test_only_http_1_0_may_omit_the_host(client: FlaskClient, protocol: str, status: int) -> None:
    def without_host(environ: dict[str, Any], start_response: Any) -> Any:
        del environ["HTTP_HOST"]
        return app(environ, start_response)

    app, client.application.wsgi_app = client.application.wsgi_app, without_host  # type: ignore[method-assign]
    assert client.put("/tagged", environ_overrides={"SERVER_PROTOCOL": protocol}).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {f"{number:x}": 1 for number in range(json_bodies.MAX_MEMBERS + 1)},
        {f"{number:x}": 1 for number in range(95_000)},
        {"name": {f"{number:x}": 1 for number in range(95_000)}},
        {"x" * 900_000: 1},
    ],
)
def test_the_response_to_invalid_input_does_not_grow_with_it(client: FlaskClient, body: dict[str, int]) -> None:
    answer = client.post("/things", data=json.dumps(body, separators=(",", ":")), content_type="application/json")
    assert answer.status_code == 422
    assert len(answer.data) < 10_000
