"""Each request has its place in a trace, one observation of its duration, and a place in the pool until its end."""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from chassis import logs
from chassis.auth.access import public
from chassis.errors import Conflict, Unavailable
from chassis.logs import request_id
from chassis.schemas import Query
from chassis.telemetry import context, tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from chassis.telemetry.tracing import SERVER
from chassis.web import docs, exposition, health
from chassis.web.app import make_app
from chassis.web.health import Health
from chassis.web.responses import created
from tests.at_once import at_once
from tests.counted import shown, total
from tests.recorded_spans import FakeRecorder, recording
from tools.paths import ROOT

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", SAMPLED, "vendor=1")
UNRECORDED = PARENT._replace(flags=0)
COUNT = "http_server_request_duration_seconds_count"


class Interrupted(BaseException):
    """What no `except Exception` catches."""


class ThingPath(Query):
    """The thing that a path names."""

    number: int


FAILURES: dict[int, BaseException] = {
    1: Conflict("In use."),
    2: KeyError("@".join(["ana", "example.com"])),
    3: Unavailable("Away."),
    4: Interrupted(),
}


@pytest.fixture
def app() -> OpenAPI:
    app = make_app("shop", "shop", "", threads=8)
    health.init_app(app, Health(lambda: None, lambda: None, {}))
    exposition.init_app(app)

    @app.get("/things")
    @public
    def things() -> Response:
        logging.getLogger("shop").info("looking")
        return Response(f"{context.trace_id()} {request_id.get()} {total('shop_pool_busy', pool='web-threads')}")

    @app.post("/things")
    @public
    def add() -> Response:
        return created(Response("{}"), "/things/1")

    @app.get("/things/<int:number>")
    @public
    def thing(path: ThingPath) -> Response:
        if path.number in FAILURES:
            raise FAILURES[path.number]
        return Response("a thing")

    @app.get("/stream")
    @public
    def stream() -> Response:
        return Response(stream_with_context(f"[{context.trace_id()}]" for _ in range(2)))

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def recorder() -> Iterator[FakeRecorder]:
    with recording() as recorder:
        yield recorder


def busy() -> float:
    return total("shop_pool_busy", pool="web-threads")


def new_series(work: Callable[[], object]) -> set[tuple[str, str, str]]:
    """Return the (method, route, status) of the series that some work adds to, once for each."""
    labels = ("http_request_method", "http_route", "http_response_status_code")

    def counts() -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels[name] for name in labels): sample.value for sample in shown() if sample.name == COUNT
        }

    before = counts()
    work()
    return {series for series, times in counts().items() if times != before.get(series, 0)}  # type: ignore[misc]


def test_a_request_begins_a_trace_and_its_id_is_the_trace_s(client: FlaskClient) -> None:
    answer = client.get("/things")
    trace_id, request, _ = answer.text.split()
    assert trace_id == request == answer.headers["X-Request-ID"]
    assert trace_id != client.get("/things").text.split()[0]


@pytest.mark.parametrize("parent", [PARENT, UNRECORDED])
def test_a_request_continues_the_trace_of_its_caller(client: FlaskClient, parent: TraceContext) -> None:
    answer = client.get("/things", headers=parent.headers)
    assert answer.text.split()[:2] == [PARENT.trace_id, PARENT.trace_id]
    answer = client.get("/things", headers=parent.headers | {"X-Request-ID": "r-1"})
    assert answer.text.split()[:2] == [PARENT.trace_id, "r-1"]


@pytest.mark.parametrize(
    "traceparent",
    ["", "rubbish", "a" * 10_000, PARENT.traceparent.upper(), f"{PARENT.traceparent},{PARENT.traceparent}"],
)
def test_a_malformed_traceparent_begins_a_trace(client: FlaskClient, recorder: FakeRecorder, traceparent: str) -> None:
    answer = client.get("/things", headers={"traceparent": traceparent, "tracestate": "a=1"})
    assert (answer.status_code, answer.text.split()[0]) == (200, recorder.only("GET /things").context.trace_id)
    assert recorder.only("GET /things").parent is None


def test_a_repeated_traceparent_begins_a_trace_and_a_repeated_tracestate_is_joined(
    client: FlaskClient, recorder: FakeRecorder
) -> None:
    """Gunicorn joins repeated headers with commas, and so does the test client."""
    client.get("/things", headers=[("traceparent", PARENT.traceparent), ("traceparent", PARENT.traceparent)])
    client.get("/things", headers=[("traceparent", PARENT.traceparent), ("tracestate", "a=1"), ("tracestate", "b=2")])
    first, second = recorder.named("GET /things")
    assert first.parent is None
    assert second.parent == PARENT._replace(state="a=1,b=2")


def test_all_lines_of_a_request_have_its_trace(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("shop")
    own = client.get("/things", headers={"X-Request-ID": "r-1"}).text.split()[0]
    client.get("/things", headers=PARENT.headers)
    client.get("/nothing", headers=UNRECORDED.headers)
    client.get("/things/2", headers=PARENT.headers)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["message"], line["request_id"], line["trace_id"]) for line in lines] == [
        ("looking", "r-1", own),
        ("request", "r-1", own),
        ("looking", PARENT.trace_id, PARENT.trace_id),
        ("request", PARENT.trace_id, PARENT.trace_id),
        ("request", PARENT.trace_id, PARENT.trace_id),
        ("unexpected error", PARENT.trace_id, PARENT.trace_id),
        ("request", PARENT.trace_id, PARENT.trace_id),
    ]


def test_a_request_is_a_span_below_its_caller_s(client: FlaskClient, recorder: FakeRecorder) -> None:
    client.get("/things/7?q=ana%40example.com", headers=PARENT.headers | {"X-Request-ID": "r-1"})
    span = recorder.only("GET /things/{number}")
    assert (span.kind, span.parent, span.error, span.links) == (SERVER, PARENT, None, [])
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/things/{number}",
        "http.response.status_code": 200,
        "url.path": "/things/7",
        "url.scheme": "http",
        "shop.request_id": "r-1",
    }


def test_a_span_shows_where_what_was_made_is(client: FlaskClient, recorder: FakeRecorder) -> None:
    client.post("/things")
    assert recorder.only("POST /things").attributes["http.response.header.location"] == "/things/1"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/things/9", 200, None), ("/things/1", 409, None), ("/things/2", 500, "500"), ("/things/3", 503, "503")],
)
def test_only_a_failure_of_the_server_fails_the_span(
    client: FlaskClient, recorder: FakeRecorder, path: str, status: int, error: str | None
) -> None:
    assert client.get(path).status_code == status
    [span] = recorder.spans
    assert (span.error, span.attributes["http.response.status_code"]) == (error, status)
    assert "ana" not in repr(span.attributes)


def test_the_attributes_of_a_request_are_those_of_the_registry(client: FlaskClient, recorder: FakeRecorder) -> None:
    registry = json.loads((ROOT / "contracts" / "telemetry.json").read_text())
    [described] = [span for span in registry["spans"] if span["kind"] == SERVER]
    client.post("/things")
    client.get("/things/2")
    assert [span.error for span in recorder.spans] == [None, "500"]  # which the recorder makes an attribute, error.type
    found = {name for span in recorder.spans for name in span.attributes} | {"error.type"}
    assert found == set(described["attributes"])


@pytest.mark.parametrize("path", ["/users/ada@example.com", "/users/+49-171-555", "/" + "t" * 65])
def test_a_span_hides_path_segments_that_do_not_look_like_an_id(
    client: FlaskClient, recorder: FakeRecorder, path: str
) -> None:
    client.get(path)
    [span] = recorder.spans
    assert (span.name, span.attributes["url.path"].endswith("/***")) == ("GET", True)


def test_an_unrecorded_request_never_reaches_the_recorder(client: FlaskClient) -> None:
    with recording(ratio=0) as recorder:
        client.get("/things")
        client.get("/things", headers=UNRECORDED.headers)
        client.get("/things/2")
    assert recorder.spans == []


def test_what_a_request_s_span_shows_is_not_computed_without_a_collector(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = []
    monkeypatch.setattr(tracing.NoSpan, "set", lambda *attribute: described.append(attribute))
    assert client.get("/things", headers=PARENT.headers).status_code == 200
    assert described == []


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_what_other_programs_ask_every_few_seconds_is_not_observed(
    client: FlaskClient, recorder: FakeRecorder, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    logs.configure("shop")
    assert new_series(lambda: client.get(path, headers=PARENT.headers)) == set()
    assert (recorder.spans, busy(), capsys.readouterr().out) == ([], 0, "")
    answer = client.get(path, headers=PARENT.headers)
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, PARENT.trace_id)
    assert "traceresponse" not in answer.headers  # which would name a trace that it has no part in


def test_a_preflight_is_not_observed_unless_its_route_is_unknown(
    client: FlaskClient, recorder: FakeRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("shop")
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    answers = []
    assert new_series(lambda: answers.append(client.options("/things", headers=asked))) == set()
    assert (answers[0].status_code, recorder.spans, busy(), capsys.readouterr().out) == (200, [], 0, "")
    assert new_series(lambda: client.options("/nothing", headers=asked)) == {("OPTIONS", "", "404")}
    assert json.loads(capsys.readouterr().out)["method"] == "OPTIONS"


def test_only_options_is_a_preflight(client: FlaskClient, recorder: FakeRecorder) -> None:
    client.get("/things", headers={"Access-Control-Request-Method": "POST"})
    assert len(recorder.named("GET /things")) == 1


@pytest.mark.parametrize("headers", [{}, PARENT.headers])
def test_a_response_names_the_span_of_its_request(
    client: FlaskClient, recorder: FakeRecorder, headers: dict[str, str]
) -> None:
    answer = client.get("/things", headers=headers)
    span = recorder.only("GET /things").context
    assert answer.headers.getlist("traceresponse") == [f"00-{span.trace_id}-{span.span_id}-01"]
    assert span.span_id != PARENT.span_id


def test_the_response_to_an_unrecorded_request_says_so(client: FlaskClient) -> None:
    answer = client.get("/things")
    place = context.read({"traceparent": answer.headers["traceresponse"]})
    assert place
    assert (place.trace_id, place.flags) == (answer.text.split()[0], 0)
    assert client.get("/things", headers=UNRECORDED.headers).headers["traceresponse"] == UNRECORDED.traceparent


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/things", 201),
        ("PUT", "/things", 405),
        ("GET", "/nothing", 404),
        ("GET", "/things/1", 409),
        ("GET", "/things/2", 500),
        ("GET", "/things/3", 503),
        ("GET", "/stream", 200),
    ],
)
def test_every_response_names_its_trace_errors_too(
    client: FlaskClient, recorder: FakeRecorder, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method)
    [span] = recorder.spans
    assert (answer.status_code, answer.headers["traceresponse"]) == (status, span.context.traceparent)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css"])
def test_the_documentation_is_logged_and_traced_but_not_measured(
    app: OpenAPI, recorder: FakeRecorder, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    docs.init_app(app)
    logs.configure("shop")
    client = app.test_client()
    assert new_series(lambda: client.get(path)) == set()
    assert (len(recorder.spans), busy()) == (1, 0)
    assert json.loads(capsys.readouterr().out)["path"] == path


def test_metrics_are_text_that_anybody_in_the_network_may_read(client: FlaskClient) -> None:
    client.get("/things")
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert total(COUNT, answer.text, http_route="/things") >= 1


def test_only_a_request_that_ends_with_an_unexpected_exception_counts_as_such(client: FlaskClient) -> None:
    counts = [total("shop_unexpected_errors_total")]
    for path in ("/things/9", "/things/1", "/things/2", "/things/3", "/nothing"):
        client.get(path)
        counts.append(total("shop_unexpected_errors_total"))
    assert [number - counts[0] for number in counts] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("method", "path", "series"),
    [
        ("GET", "/things", ("GET", "/things", "200")),
        ("HEAD", "/things", ("HEAD", "/things", "200")),
        ("OPTIONS", "/things", ("OPTIONS", "/things", "200")),
        ("GET", "/things?q=1", ("GET", "/things", "200")),
        ("GET", "/things/7", ("GET", "/things/{number}", "200")),
        ("GET", "/things/2", ("GET", "/things/{number}", "500")),
        ("GET", "/things/x", ("GET", "", "404")),
        ("GET", "/nothing", ("GET", "", "404")),
        ("PUT", "/things", ("PUT", "", "405")),
        ("BREW", "/things", ("_OTHER", "", "405")),
        ("get", "/nothing", ("_OTHER", "", "404")),
    ],
)
def test_a_request_counts_by_method_route_and_status(
    client: FlaskClient, method: str, path: str, series: tuple[str, str, str]
) -> None:
    def ask() -> None:
        client.open(path, method=method)

    before = total(COUNT)
    assert new_series(ask) == {series}
    assert total(COUNT) == before + 1


def test_paths_and_methods_that_clients_invent_make_no_series(client: FlaskClient) -> None:
    def ask() -> None:
        for number in range(100):
            client.get(f"/things/{1000 + number}")
            client.get(f"/nothing/{number}")
            client.put(f"/things/{number}")
            client.open("/things", method=f"BREW{number}")
            client.open(f"/{number}", method=f"BREW{number}")

    assert new_series(ask) == {
        ("GET", "/things/{number}", "200"),
        ("GET", "", "404"),
        ("PUT", "", "405"),
        ("_OTHER", "", "405"),
        ("_OTHER", "", "404"),
    }


def test_a_request_is_busy_until_its_end(client: FlaskClient) -> None:
    assert total("shop_pool_size", pool="web-threads") == 8
    assert float(client.get("/things").text.split()[2]) == 1
    assert busy() == 0


@pytest.mark.parametrize("path", ["/things/1", "/things/2", "/things/3", "/nothing", "/things/x"])
def test_an_error_frees_the_place_in_the_pool(client: FlaskClient, recorder: FakeRecorder, path: str) -> None:
    client.get(path)
    assert (busy(), [span.ended for span in recorder.spans], context.current.get()) == (0, [1], None)


def test_a_request_that_is_interrupted_frees_its_place(client: FlaskClient, recorder: FakeRecorder) -> None:
    with pytest.raises(Interrupted):
        client.get("/things/4")
    assert (busy(), [span.ended for span in recorder.spans], context.current.get()) == (0, [1], None)


def fail(*_: Any) -> Any:
    raise KeyError("a hook")


@pytest.mark.parametrize("hook", ["before_request", "after_request"])
def test_a_hook_that_fails_frees_the_place_and_is_observed(app: OpenAPI, recorder: FakeRecorder, hook: str) -> None:
    app.__dict__[f"{hook}_funcs"].setdefault(None, []).append(fail)
    if hook == "before_request":
        assert new_series(lambda: app.test_client().get("/things")) == {("GET", "/things", "500")}
        assert recorder.only("GET /things").error == "500"
    else:
        assert app.test_client().get("/things").status_code == 500
    assert (busy(), [span.ended for span in recorder.spans], context.current.get()) == (0, [1], None)


def test_a_request_that_is_refused_before_its_view_is_observed(client: FlaskClient, recorder: FakeRecorder) -> None:
    ask: Callable[[], object] = lambda: client.get("/things", headers={"Host": "a b"})  # noqa: E731
    assert new_series(ask) == {("GET", "/things", "400")}
    assert (busy(), recorder.only("GET /things").error) == (0, None)


def test_a_request_that_cannot_be_observed_takes_no_place(app: OpenAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "start", fail)
    answer = app.test_client().get("/things")
    assert (answer.status_code, busy(), context.current.get(), request_id.get()) == (500, 0, None, "")


def test_a_context_that_is_kept_ends_its_request_once(client: FlaskClient, recorder: FakeRecorder) -> None:
    with client:
        client.get("/things")
        assert (busy(), context.current.get()) == (0, None)
        client.get("/things/7")
    assert (busy(), [span.ended for span in recorder.spans], context.current.get()) == (0, [1, 1], None)


def test_a_request_within_a_request_returns_to_the_outer_one(app: OpenAPI, recorder: FakeRecorder) -> None:
    @app.get("/outer")
    @public
    def outer() -> Response:
        inner = app.test_client().get("/things", headers=UNRECORDED.headers).text.split()[0]
        return Response(f"{inner} {context.trace_id()} {busy()}")

    inner, own, places = app.test_client().get("/outer").text.split()
    assert (inner, own, places) == (PARENT.trace_id, recorder.only("GET /outer").context.trace_id, "1.0")
    assert (busy(), context.current.get()) == (0, None)


def test_a_stream_is_no_part_of_its_request(client: FlaskClient, recorder: FakeRecorder) -> None:
    """Flask ends the request before the server sends the first byte."""
    answer = client.get("/stream", headers=PARENT.headers)
    assert (answer.text, busy(), recorder.only("GET /stream").ended, context.current.get()) == ("[][]", 0, 1, None)


def test_threads_that_answer_at_once_do_not_mix_their_traces(app: OpenAPI, recorder: FakeRecorder) -> None:
    numbers = count(1)

    def ask(_: int) -> None:
        client = app.test_client()
        for _ in range(25):
            mine = PARENT._replace(trace_id=f"{next(numbers):032x}")
            assert client.get("/things", headers=mine.headers).text.split()[0] == mine.trace_id
            assert context.current.get() is None

    before = total(COUNT, http_route="/things")
    at_once(8, ask)
    assert total(COUNT, http_route="/things") == before + 200
    assert (busy(), len({span.context.trace_id for span in recorder.spans})) == (0, 200)
