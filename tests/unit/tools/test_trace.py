"""Traces without Docker: the receiver keeps the latest spans, and ./dev trace draws those of an order."""

import gzip
import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.at_once import meanwhile
from tools.observe import spans, trace_command, waterfall
from tools.observe.spans import Link, Span, SpanStore
from tools.observe.trace_receiver import MAX_BODY, TraceReceiver
from tools.stack.stack import Stack

ORDER_ID = "6f1cafe0d5b84b3c9a57e3a1f0c2d4e6"
TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331b7ad6b7169203331"
NOON = 1_769_860_800_000_000_000  # 2026-01-31, 12:00 UTC
MS = 1_000_000


def span(number: int, name: str, parent: int = 0, at: float = 0, lasts: float = 1, **changes: Any) -> Span:
    """Return a span that begins and lasts so many milliseconds."""
    start = NOON + int(at * MS)
    ids = (TRACE, f"{number:016x}", f"{parent:016x}" if parent else "")
    return replace(Span(*ids, "order-service", name, "SERVER", start, start + int(lasts * MS)), **changes)


ORDER_TRACE = [
    span(1, "POST /orders", lasts=20, attributes={"http.response.header.location": f"/orders/{ORDER_ID}"}),
    span(2, "OrderStore.create", 1, at=15, lasts=4, kind="CLIENT"),
    span(3, "PUT /reservations/{order_id}", 1, at=2, lasts=10, kind="CLIENT", attributes={"error.type": "Timeout"}),
    span(
        4,
        "publish shop.events:order_created",
        1,
        at=100,
        program="order-worker",
        links=(Link(TRACE, f"{1:016x}"),),
        attributes={"messaging.message.id": f"{ORDER_ID}.order_created", "shop.outbox.seconds": 0.08},
    ),
    span(
        5,
        "process notifications",
        4,
        at=150,
        lasts=50,
        program="notification-consumer",
        links=(Link(OTHER, f"{9:016x}"),),
        attributes={"shop.disposition": "retry", "messaging.rabbitmq.attempt": 2},
    ),
]
RECOVERY = [span(6, "release stock", at=300, trace_id=OTHER, links=(Link(TRACE, f"{1:016x}"),))]


def request(*names: str, **attributes: str) -> bytes:
    """Return the body of an exporter's request."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="order-service")))
    scope = resource.scope_spans.add()
    for name in names:
        sent = scope.spans.add(name=name, trace_id=bytes.fromhex(TRACE), span_id=b"12345678", start_time_unix_nano=NOON)
        sent.kind = trace_pb2.Span.SPAN_KIND_SERVER
        sent.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        sent.links.add(trace_id=bytes.fromhex(OTHER), span_id=b"87654321")
        pairs = (KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items())
        sent.attributes.extend(pairs)
    return message.SerializeToString()


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with TraceReceiver(0) as server, meanwhile(lambda: server.serve_forever(poll_interval=0.01)):
        try:
            yield server
        finally:
            server.shutdown()


def post(receiver: TraceReceiver, body: bytes, path: str = "/v1/traces", **headers: str) -> int:
    return requests.post(receiver.url + path, data=body, headers=headers, timeout=10).status_code


def test_what_an_exporter_sends_is_answered_by_trace(receiver: TraceReceiver) -> None:
    assert post(receiver, request("POST /orders", route="/orders")) == 200
    assert post(receiver, gzip.compress(request("GET /orders")), **{"Content-Encoding": "gzip"}) == 200
    found = requests.get(f"{receiver.url}/spans?trace_id={TRACE}", timeout=10).json()
    assert [record["name"] for record in found] == ["POST /orders", "GET /orders"]
    first = Span.of(found[0])
    assert (first.program, first.kind, first.failed) == ("order-service", "SERVER", True)
    assert (first.attributes, first.links) == ({"route": "/orders"}, (Link(OTHER, b"87654321".hex()),))
    assert requests.get(f"{receiver.url}/spans?trace_id={OTHER}", timeout=10).json() == []


@pytest.mark.parametrize(
    ("body", "path", "headers", "status"),
    [
        (b"rubbish", "/v1/traces", {}, 400),
        (b"no gzip", "/v1/traces", {"Content-Encoding": "gzip"}, 400),
        (request("x"), "/v1/metrics", {}, 404),
        (b"\0" * (MAX_BODY + 1), "/v1/traces", {}, 413),
        (gzip.compress(b"\0" * (MAX_BODY + 1)), "/v1/traces", {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_the_receiver_refuses_what_it_cannot_keep_and_goes_on(
    receiver: TraceReceiver, body: bytes, path: str, headers: dict[str, str], status: int
) -> None:
    address = urlsplit(receiver.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("POST", path)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    if status != 413 or headers:
        connection.send(body)
    assert connection.getresponse().status == status, "a body that is too large is refused before it is sent"
    connection.close()
    assert post(receiver, request("x")) == 200


def test_only_the_latest_spans_are_kept_and_long_texts_are_cut() -> None:
    store = SpanStore(kept=2)
    store.add(spans.decode(request("a", "b", "c", long="x" * 10_000)))
    assert [(each.name, len(str(each.attributes["long"]))) for each in store.all()] == [("b", 500), ("c", 500)]


@pytest.mark.parametrize(
    "attributes",
    [
        {"messaging.message.id": f"{ORDER_ID}.order_created"},
        {"url.path": f"/reservations/{ORDER_ID}"},
        {"http.response.header.location": f"/orders/{ORDER_ID}"},
        {"shop.order.id": ORDER_ID},
    ],
)
def test_a_span_concerns_the_order_that_an_attribute_names(attributes: dict[str, str]) -> None:
    assert span(1, "x", attributes=attributes).concerns(ORDER_ID)
    assert not span(1, "x", attributes=attributes).concerns(ORDER_ID[:-1])


def test_an_orders_trace_is_drawn_as_a_tree_with_errors_attempts_and_links() -> None:
    title, head, *drawn = waterfall.lines(reversed(ORDER_TRACE))
    assert title == f"POST /orders  trace {TRACE}  2026-01-31 12:00:00.000  5 spans, 200.0 ms"
    assert head.split() == ["start", "duration", "program", "span"]
    assert [line.partition("  order-")[2] or line.partition("  notification-")[2] for line in drawn] == [
        "service          POST /orders",
        "service            PUT /reservations/{order_id}  ERROR Timeout",
        "service            OrderStore.create",
        "worker             publish shop.events:order_created  after 0.1 s in the outbox  (link: POST /orders)",
        f"consumer      process notifications  attempt 2  -> retry  (link: trace {OTHER})",
    ]
    assert drawn[0].startswith("      0.0 ms     20.0 ms  ==  ")
    assert drawn[-1].startswith("    150.0 ms     50.0 ms                    ======  ")


def test_a_trace_may_lack_its_beginning_come_twice_or_go_in_a_circle() -> None:
    title, _, *drawn = waterfall.lines([span(2, "a", 3), span(2, "a", 3)])
    assert (title.endswith("; its first span is missing"), len(drawn)) == (True, 1)
    _, _, *drawn = waterfall.lines([span(1, "a", 2), span(2, "b", 1), span(3, "c", 3)])
    assert len(drawn) == 3
    deep = [span(number, "x", number - 1) for number in range(1, 5000)]
    assert sum(1 for _ in waterfall.in_order(deep)) == 4999


def test_control_characters_of_a_span_are_escaped() -> None:
    drawn = "\n".join(waterfall.lines([span(1, "a\x1b[2J", attributes={"error.type": "\x9b1A"})]))
    assert r"a\x1b[2J  ERROR \x9b1A" in drawn
    assert "\x1b" not in drawn


def test_the_traces_of_an_order_are_shown_with_what_is_linked_but_without_its_reads(receiver: TraceReceiver) -> None:
    read = span(8, "GET /orders/{order_id}", trace_id="c" * 32, attributes={"url.path": f"/orders/{ORDER_ID}"})
    receiver.spans.add([*ORDER_TRACE, read, *RECOVERY])
    text = trace_command.report(receiver.url, ORDER_ID, with_reads=False)
    assert text.count("  trace ") == 1
    assert f"Other traces that are linked to these:\n  {OTHER}  order-service  release stock, 1 spans" in text
    assert "Not shown: 1 traces of requests that only read the order." in text
    assert trace_command.report(receiver.url, ORDER_ID, with_reads=True).count("  trace ") == 2
    assert trace_command.report(receiver.url, OTHER, with_reads=False).startswith("release stock  trace b7ad")
    assert trace_command.report(receiver.url, "f" * 32, with_reads=False) == ""


class Running(Stack):
    """A stack that seems to run."""

    def is_running(self) -> bool:
        return True


def running(state: Path, page: str, endpoint: str = "") -> Stack:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}
    table = {"order-service": {"environment": environment}, "traces": {"page": page}}
    (state / "programs.json").write_text(json.dumps(table))
    return Running(state)


def test_it_is_said_why_there_is_no_trace(
    receiver: TraceReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace_command.main(Stack(tmp_path), ORDER_ID) == 2
    assert trace_command.main(running(tmp_path, ""), ORDER_ID) == 2
    assert trace_command.main(running(tmp_path, "", "http://jaeger:4318"), ORDER_ID) == 2
    assert trace_command.main(running(tmp_path, receiver.url), f"{ORDER_ID}\x1b") == 1
    assert trace_command.main(running(tmp_path, "http://127.0.0.1:1"), ORDER_ID) == 2
    told = capsys.readouterr().err
    for part in (
        "The shop is not running. Start it with ./dev up --observe",
        "The shop runs without --observe, and records no traces.",
        f"The shop sends its traces to http://jaeger:4318, as OTEL_EXPORTER_OTLP_ENDPOINT says. Look for {ORDER_ID}",
        rf"There is no trace of {ORDER_ID}\x1b. Perhaps it was not recorded",
        "The receiver of traces at http://127.0.0.1:1 does not answer",
    ):
        assert part in told
    receiver.spans.add(ORDER_TRACE)
    assert trace_command.main(running(tmp_path, receiver.url), ORDER_ID) == 0
    assert "process notifications" in capsys.readouterr().out
