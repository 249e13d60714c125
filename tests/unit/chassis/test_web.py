"""Every error is a problem document, and every response has the common headers."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.exceptions import TooManyRequests

from chassis.auth.access import public
from chassis.errors import Conflict, Misconfigured, Unavailable
from chassis.logs import request_id
from chassis.schemas import Body, PageQuery, Query
from chassis.web import health, json_bodies
from chassis.web.app import make_app
from chassis.web.headers import idempotency_key
from chassis.web.health import Health
from chassis.web.responses import created, no_content


class Thing(Body):
    """A body with a nested list."""

    name: str
    sizes: list[int] = []


class ThingPath(Query):
    """The thing that a path names."""

    number: int


class Taken(Conflict):
    """A problem of a service's own."""

    code, title = "taken", "Taken"


FAILURES = {
    1: Taken("In use.", lines=[7]),
    2: KeyError("a secret of ours"),
    3: TooManyRequests("slowly"),
    4: Unavailable("Away.", retry_after=7),
}


@pytest.fixture
def app() -> OpenAPI:
    app = make_app("shop", "shop", "", trusted_proxies=1)

    @app.get("/things")
    @public
    def things(query: PageQuery) -> Response:
        return jsonify(limit=query.limit, request_id=request_id.get(), address=request.remote_addr)

    @app.post("/things")
    @public
    def add(body: Thing) -> Response:
        return created(jsonify({"z": body.name, "a": body.sizes}), "/things/1")

    @app.delete("/things/<int:number>")
    @public
    def remove(path: ThingPath) -> Response:
        if path.number in FAILURES:
            raise FAILURES[path.number]
        return no_content()

    @app.post("/keys")
    @public
    def keys() -> Response:
        return jsonify(key=idempotency_key())

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_a_problem_document_has_all_members(client: FlaskClient) -> None:
    answer = client.delete("/things/1", headers={"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert answer.json == {
        "type": "taken",
        "title": "Taken",
        "status": 409,
        "detail": "In use.",
        "instance": "/things/1",
        "request_id": "r-1",
        "lines": [7],
    }


def test_an_unexpected_error_is_logged_and_shows_nothing_to_the_client(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.delete("/things/2")
    assert (answer.status_code, answer.json["type"], answer.mimetype) == (
        500,
        "internal-error",
        "application/problem+json",
    )
    assert "secret" not in answer.text
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [KeyError]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/things/", 404, "not-found"),
        ("DELETE", "/things/x", 404, "not-found"),
        ("PUT", "/things", 405, "method-not-allowed"),
        ("DELETE", "/things/3", 429, "too-many-requests"),
        ("DELETE", "/things/4", 503, "unavailable"),
    ],
)
def test_every_error_is_a_problem_document(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert (answer.json["status"], answer.json["type"], answer.json["instance"]) == (status, code, path)
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_the_response_to_a_wrong_method_lists_the_allowed_methods(client: FlaskClient) -> None:
    assert set(client.put("/things").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_the_response_in_an_outage_has_retry_after(client: FlaskClient) -> None:
    assert client.delete("/things/4").headers["Retry-After"] == "7"


def test_a_path_with_doubled_slashes_leads_to_the_right_one(client: FlaskClient) -> None:
    answer = client.delete("/things//9")
    assert (answer.status_code, answer.headers["Location"]) == (308, "http://localhost/things/9")


@pytest.mark.parametrize("sent", ["abc", "A-1_b.9", "x" * 64])
def test_a_request_id_is_accepted_and_echoed(client: FlaskClient, sent: str) -> None:
    answer = client.get("/things", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"], answer.json["request_id"]) == (sent, sent)


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "a\tb", "<script>", "ä"])
def test_an_invalid_request_id_is_replaced(client: FlaskClient, sent: str | None) -> None:
    answer = client.get("/things", headers={} if sent is None else {"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_two_requests_do_not_share_an_id(client: FlaskClient) -> None:
    assert client.get("/things").headers["X-Request-ID"] != client.get("/things").headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/things", "/nothing"])
def test_every_answer_has_the_safety_headers(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")


def test_a_created_resource_has_a_location_and_its_members_keep_their_order(client: FlaskClient) -> None:
    answer = client.post("/things", json={"name": "cup"})
    assert (answer.status_code, answer.headers["Location"]) == (201, "/things/1")
    assert list(answer.json) == ["z", "a"]


def test_no_content_is_empty(client: FlaskClient) -> None:
    answer = client.delete("/things/9")
    assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/xml"]
)
def test_another_media_type_is_415(client: FlaskClient, content_type: str) -> None:
    answer = client.post("/things", data=b'{"name": "cup"}', content_type=content_type)
    assert (answer.status_code, answer.json["type"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_read_however_its_type_is_written(client: FlaskClient, content_type: str) -> None:
    assert client.post("/things", data=b'{"name": "cup"}', content_type=content_type).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'name': 'cup'}",
        b'{"name": "cup",}',
        b'{"name": "cup"} x',
        b'{"name": "a\nb"}',
        b'{"name": "\xff"}',
        b'{"name": "cup", "sizes": [NaN]}',
        b'{"name": "cup", "sizes": [Infinity]}',
        b'{"name": "cup", "sizes": [-Infinity]}',
        b'{"name": "cup", "sizes": [' + b"9" * 5000 + b"]}",
        b'{"name": "cup", "sizes": [01]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_not_json_is_400(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/things", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["type"]) == (400, "bad-request")


@pytest.mark.parametrize("body", ["null", "[]", "1", '"name"', "true", '[{"name": "cup"}]'])
def test_json_that_is_not_an_object_is_422(client: FlaskClient, body: str) -> None:
    answer = client.post("/things", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["detail"]) == (422, "The body must be a JSON object.")


@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_deep_nesting_is_refused_however_deep_it_is(client: FlaskClient, opened: str) -> None:
    closing = "]" if opened == "[" else "}"
    for depth in (19, *range(20, 1000, 7), 5_000, 50_000):
        body = f'{{"name": "cup", "sizes": {opened * depth}0{closing * depth}}}'
        answer = client.post("/things", data=body, content_type="application/json")
        assert answer.status_code == (422 if depth == 19 else 400), depth


def test_invalid_fields_are_named(client: FlaskClient) -> None:
    answer = client.post("/things", json={"name": 1, "sizes": [1, "2"], "colour": "red"})
    assert answer.status_code == 422
    assert (answer.json["type"], answer.mimetype) == ("invalid-input", "application/problem+json")
    assert [error["field"] for error in answer.json["errors"]] == ["name", "sizes.1", "colour"]
    assert all(set(error) == {"field", "message"} for error in answer.json["errors"])


def test_the_response_to_invalid_input_does_not_repeat_it(client: FlaskClient) -> None:
    assert "hunter2" not in client.post("/things", json={"name": ["hunter2"]}).text


def test_names_of_fields_may_be_anything(client: FlaskClient) -> None:
    answer = client.post("/things", data=b'{"name": "cup", "\\ud800\\u0000": 1}', content_type="application/json")
    assert (answer.status_code, len(answer.json["errors"])) == (422, 1)


def test_invalid_query_parameters_are_named(client: FlaskClient) -> None:
    answer = client.get("/things?limit=0&colour=red")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == ["limit", "colour"]


def test_a_body_of_the_largest_size_is_read(client: FlaskClient) -> None:
    body = json.dumps({"name": ""}).encode()
    body = body[:-2] + b"x" * (json_bodies.MAX_BODY - len(body)) + body[-2:]
    assert len(body) == json_bodies.MAX_BODY
    assert client.post("/things", data=body, content_type="application/json").status_code == 201


def test_a_larger_body_is_413(client: FlaskClient) -> None:
    answer = client.post("/things", data=b" " * (json_bodies.MAX_BODY + 1), content_type="application/json")
    assert (answer.status_code, answer.json["type"]) == (413, "content-too-large")


@pytest.mark.parametrize(
    ("path", "size", "left"),
    [("/things", 3 << 20, 0), ("/nothing", 3 << 20, 0), ("/things", 10 << 20, 2 << 20)],
)
def test_an_unread_body_is_discarded_up_to_a_limit(client: FlaskClient, path: str, size: int, left: int) -> None:
    stream = io.BytesIO(b" " * size)
    answer = client.post(path, input_stream=stream, content_length=size, content_type="application/json")
    assert answer.status_code in (404, 413)
    assert len(stream.read()) == left


@pytest.mark.parametrize("key", ["a", "!~", "x" * 255])
def test_an_idempotency_key_is_read(client: FlaskClient, key: str) -> None:
    assert client.post("/keys", headers={"Idempotency-Key": key}).json == {"key": key}


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "a\tb"])
def test_an_idempotency_key_that_is_not_visible_ascii_is_422(client: FlaskClient, key: str) -> None:
    answer = client.post("/keys", headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"field": "Idempotency-Key", "message": "must be 1 to 255 visible ASCII characters"}
    ]


def test_without_an_idempotency_key_there_is_none(client: FlaskClient) -> None:
    assert client.post("/keys").json == {"key": None}


@pytest.fixture
def access_log() -> Iterator[None]:
    log = logging.getLogger("access")
    log.setLevel(logging.INFO)
    yield
    log.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("access_log")
def test_requests_are_logged_without_query_and_health_checks_not_at_all(
    app: OpenAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    health.init_app(app, Health(lambda: None, lambda: None, {}))
    for path in ("/things?limit=3", "/health", "/ready"):
        app.test_client().get(path)
    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["method"], r["path"], r["status"]) for r in seen] == [("GET", "/things", 200)]


@pytest.mark.usefixtures("access_log")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/things/a-1_b.9", "/things/a-1_b.9"),
        ("/users/ada@example.com", "/users/***"),
        ("/users/ada%40example.com/roles", "/users/***/roles"),
        ("/" + "t" * 65, "/***"),
        ("/a b/<script>", "/***/***"),
    ],
)
def test_logs_and_problems_hide_path_segments_that_do_not_look_like_an_id(
    client: FlaskClient, capsys: pytest.CaptureFixture[str], path: str, shown: str
) -> None:
    assert client.put(path).json["instance"] == shown
    assert json.loads(capsys.readouterr().out)["path"] == shown


def test_the_address_is_the_one_that_the_trusted_gateway_saw(client: FlaskClient) -> None:
    answer = client.get("/things", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
    assert answer.json["address"] == "198.51.100.7"


def test_without_a_trusted_gateway_no_client_can_choose_its_address() -> None:
    app = make_app("shop", "shop", "")

    @app.get("/address")
    @public
    def address() -> Response:
        return jsonify(address=request.remote_addr)

    answer = app.test_client().get("/address", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.json == {"address": "127.0.0.1"}


class Database:
    """Stands for a database: it can be away, and counts how often it was prepared."""

    def __init__(self, *, away: bool) -> None:
        self.away = away
        self.prepared = 0

    def prepare(self) -> None:
        self.ping()
        self.prepared += 1

    def ping(self) -> None:
        if self.away:
            raise Unavailable("The database does not answer.")


def with_health(app: OpenAPI, database: Database, **dependencies: Any) -> FlaskClient:
    health.init_app(app, Health(database.prepare, database.ping, dependencies))
    return app.test_client()


def test_a_service_lives_without_its_database_but_is_not_ready(app: OpenAPI) -> None:
    client = with_health(app, Database(away=True))
    assert (client.get("/health").status_code, client.get("/health").json) == (200, {"status": "ok"})
    answer = client.get("/ready")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_a_service_is_ready_as_soon_as_its_database_is_there(app: OpenAPI) -> None:
    database = Database(away=True)
    client = with_health(app, database)
    database.away = False
    assert [client.get("/ready").json for _ in range(2)] == [{"status": "ready", "degraded": []}] * 2
    assert database.prepared == 1


def test_a_service_is_no_longer_ready_when_its_database_has_gone(app: OpenAPI) -> None:
    database = Database(away=False)
    client = with_health(app, database)
    database.away = True
    assert client.get("/ready").status_code == 503


def test_a_failed_dependency_is_named_and_the_service_stays_ready(app: OpenAPI) -> None:
    def away() -> None:
        raise Unavailable("Away.")

    client = with_health(app, Database(away=False), users=away, products=lambda: None)
    answer = client.get("/ready")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "degraded": ["users"]})


def test_a_misconfiguration_is_named_and_logged_once_until_it_is_corrected(
    app: OpenAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "chassis.misconfigurations")
    reasons = ["Check A.", "Check A.", "Check B."]

    def refusing() -> None:
        if reasons:
            raise Misconfigured(reasons.pop(0))

    client = with_health(app, Database(away=False), users=refusing)
    answers = [client.get("/ready").json for _ in range(5)]
    refused = {"status": "ready", "degraded": ["users"], "refused": ["users"]}
    assert answers == [refused] * 3 + [{"status": "ready", "degraded": []}] * 2
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "misconfigured: users: Check A."),
        ("ERROR", "misconfigured: users: Check B."),
        ("INFO", "no longer misconfigured: users"),
    ]


def test_a_failed_dependency_is_logged_with_its_url(app: OpenAPI, caplog: pytest.LogCaptureFixture) -> None:
    def away() -> None:
        raise Unavailable("http://users:5002 does not answer: ConnectionError.")

    with_health(app, Database(away=False), users=away, products=lambda: None)
    app.extensions["health"].log_failed_dependencies()
    assert [record.getMessage() for record in caplog.records] == [
        "dependency users cannot be used: http://users:5002 does not answer: ConnectionError."
    ]
