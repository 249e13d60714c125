"""Spans reach a collector as OpenTelemetry's protocol says, and a bad collector costs nothing but its spans."""

import gc
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from subprocess import PIPE
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from chassis import logs
from chassis.config import ConfigurationError, TelemetrySettings
from chassis.telemetry import programs, tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from chassis.telemetry.otlp import OtlpRecorder
from chassis.telemetry.tracing import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Span
from tests.at_once import at_once
from tests.counted import total
from tests.otlp_receiver import Collector, collecting, dripping, hanging
from tests.waiting import until
from tools.paths import ROOT
from tools.stack.ports import free_ports

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", SAMPLED, "vendor=1,other=2")
CAUSE = TraceContext("a" * 32, "b" * 16, SAMPLED)
QUEUE, BATCH = 100, 10  # spans
EXIT_WITHIN = tracing.SECONDS_TO_STOP + 0.2  # s
MANY_WITHIN = 5.0  # s for 3,000 spans, which take 0.1 s: an exit or a request that waited would take longer

Start = Callable[..., OtlpRecorder]


class Losses(list[int]):
    """The numbers of spans that a recorder has reported as lost."""

    @property
    def total(self) -> int:
        return sum(self)


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, losses: Losses) -> Iterator[Start]:
    """Start a recorder. The test stops it, so that its thread and its connections end."""

    def make(url: str, timeout: float = 2.0, **variables: str) -> OtlpRecorder:
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        return OtlpRecorder("order-service", url, timeout, losses.append)

    yield make
    until(lambda: not senders(), "no thread sends any more", seconds=10)


def senders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("OtelBatch")]


def record(recorder: OtlpRecorder, name: str = "work", kind: str = INTERNAL, **more: Any) -> Span:
    """Record a span from begin to end."""
    span = recorder.start(name, kind, more.get("parent"), more.get("attributes", {}), more.get("links", ()))
    span.end()
    return span


def small_queue() -> dict[str, str]:
    return {"OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH)}


def seconds_of(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def test_a_span_arrives_with_its_parent_its_links_and_its_attributes(start: Start, collector: Collector) -> None:
    recorder = start(f"{collector.url}/")
    attributes = {"http.request.method": "POST", "http.response.status_code": 201, "ratio": 0.5, "new": True}
    span = recorder.start("POST /orders", SERVER, PARENT, attributes, [CAUSE, PARENT])
    span.set("shop.request_id", "r-1")
    assert (span.context.trace_id, span.context.flags, span.context.state) == (PARENT.trace_id, SAMPLED, PARENT.state)
    span.end()
    recorder.stop(10)
    received = collector.only()
    sent = received.span
    assert (sent.name, sent.SpanKind.Name(sent.kind), sent.status.code) == ("POST /orders", "SPAN_KIND_SERVER", 0)
    assert (sent.trace_id.hex(), sent.span_id.hex()) == (PARENT.trace_id, span.context.span_id)
    assert (sent.parent_span_id.hex(), sent.trace_state) == (PARENT.span_id, PARENT.state)
    assert [(link.trace_id.hex(), link.span_id.hex(), link.trace_state) for link in sent.links] == [
        (CAUSE.trace_id, CAUSE.span_id, ""),
        (PARENT.trace_id, PARENT.span_id, ""),  # OpenTelemetry's encoder leaves it out
    ]
    assert received.attributes == attributes | {"shop.request_id": "r-1"}
    assert 0 < sent.start_time_unix_nano <= sent.end_time_unix_nano
    assert [request.path for request in collector.requests] == ["/v1/traces"]


def test_a_span_without_parent_begins_a_trace_whose_id_is_random(start: Start, collector: Collector) -> None:
    recorder = start(collector.url)
    first, second = record(recorder), record(recorder)
    assert [span.context.flags for span in (first, second)] == [3, 3]
    assert first.context.trace_id != second.context.trace_id
    recorder.stop(10)
    assert [(received.span.trace_id.hex(), received.span.parent_span_id) for received in collector.received] == [
        (first.context.trace_id, b""),
        (second.context.trace_id, b""),
    ]


@pytest.mark.parametrize("kind", [SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL])
def test_a_span_keeps_its_kind(kind: str, start: Start, collector: Collector) -> None:
    recorder = start(collector.url)
    record(recorder, kind=kind)
    recorder.stop(10)
    sent = collector.only().span
    assert sent.SpanKind.Name(sent.kind) == f"SPAN_KIND_{kind}"


def test_a_failed_span_has_the_type_of_the_error_and_no_text(start: Start, collector: Collector) -> None:
    tracing.record_with(start(collector.url), 1.0)

    def fail() -> None:
        with tracing.within(tracing.start("work", INTERNAL, None)):
            raise ValueError("@".join(["ana", "example.com"]))

    with pytest.raises(ValueError, match="ana@"):
        fail()
    tracing.stop(10)
    received = collector.only()
    assert received.attributes == {"error.type": "ValueError"}
    assert (received.span.status.code, received.span.status.message, list(received.span.events)) == (2, "", [])
    assert b"ana" not in collector.requests[0].body


def test_the_program_names_itself_and_what_its_environment_adds(start: Start, collector: Collector) -> None:
    variables = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=other,team=a%20b"}
    first, second = start(collector.url, **variables), start(collector.url)
    for recorder in (first, second):
        record(recorder)
        recorder.stop(10)
    one, other = (received.resource for received in collector.received)
    assert one["service.name"] == other["service.name"] == "order-service"
    assert (one["deployment.environment.name"], one["team"]) == ("test", "a b")
    assert len({one["service.instance.id"], other["service.instance.id"]}) == 2


def test_the_headers_of_the_environment_are_sent(start: Start, collector: Collector) -> None:
    recorder = start(collector.url, OTEL_EXPORTER_OTLP_HEADERS="Authorization=Basic%20c2hvcA==,x-tenant=shop")
    record(recorder)
    recorder.stop(10)
    headers = {name.lower(): value for name, value in collector.requests[0].headers.items()}
    assert (headers["authorization"], headers["x-tenant"]) == ("Basic c2hvcA==", "shop")
    assert headers["content-type"] == "application/x-protobuf"


def test_a_malformed_tracestate_of_a_client_is_not_logged(
    start: Start, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {**CAUSE.headers, "tracestate": "@".join(["ana", "example.com"])}
    parent = tracing.context.read(headers)
    recorder = start(collector.url)
    record(recorder, parent=parent, links=[parent])
    recorder.stop(10)
    assert caplog.records == []


def test_all_spans_arrive_before_a_program_ends(start: Start, collector: Collector, losses: Losses) -> None:
    recorder = start(collector.url)
    for _ in range(2000):
        record(recorder)
    assert seconds_of(lambda: recorder.stop(10)) < 5
    assert (len(collector.received), losses.total) == (2000, 0)


def test_a_full_queue_drops_spans_and_counts_them(start: Start, losses: Losses) -> None:
    gc.collect()
    with hanging() as collector:
        recorder = start(collector.url, **small_queue())
        for _ in range(BATCH):
            record(recorder)
        until(lambda: collector.requests, "the first batch is being sent")
        for _ in range(3000):
            record(recorder)
        assert losses.total == 3000 - QUEUE
        assert sum(issubclass(type(thing), ReadableSpan) for thing in gc.get_objects()) <= QUEUE + BATCH + 1
        collector.goes_on.set()
        recorder.stop(10)
        assert (len(collector.received), losses.total) == (QUEUE + BATCH, 3000 - QUEUE)


def test_no_span_of_many_threads_is_lost_without_being_counted(start: Start, losses: Losses) -> None:
    with hanging() as collector:
        recorder = start(collector.url, **small_queue())
        at_once(8, lambda _: [record(recorder) for _ in range(500)])
        counted = losses.total
        collector.goes_on.set()
        recorder.stop(10)
        assert losses.total == counted
        assert len(collector.received) == 4000 - counted


def closed_port() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


@contextmanager
def behaving_badly(behaviour: str) -> Iterator[str]:
    """Yield the URL of a collector that takes nothing."""
    with ExitStack() as stack:
        match behaviour:
            case "is away":
                yield closed_port()
            case "hangs":
                yield stack.enter_context(hanging()).url
            case "drips":
                yield stack.enter_context(dripping())
            case _:
                status = int(behaviour.split()[1])
                yield stack.enter_context(collecting(lambda _: (status, {}))).url


BEHAVIOURS = ("is away", "hangs", "drips", "answers 500", "answers 429")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_bad_collector_delays_neither_the_work_nor_the_exit(behaviour: str, start: Start, losses: Losses) -> None:
    def work() -> None:
        for _ in range(3000):
            tracing.start("work", INTERNAL, None).end()

    with behaving_badly(behaviour) as url:
        tracing.record_with(start(url, **small_queue()), 1.0)
        assert seconds_of(work) < MANY_WITHIN
        assert seconds_of(tracing.stop) < EXIT_WITHIN
    assert losses.total == 3000
    assert tracing.start("late", INTERNAL, None).context.is_sampled is False


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_bad_collector_gets_at_most_one_line_in_the_log_and_none_elsewhere(
    behaviour: str, start: Start, capsys: pytest.CaptureFixture[str], losses: Losses
) -> None:
    logs.configure("order-service")
    with behaving_badly(behaviour) as url:
        recorder = start(url, 0.2, **small_queue())
        for _ in range(3 * BATCH):
            record(recorder)
        recorder.stop(1.0)
    written = capsys.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines()]
    assert len(lines) == 1 or (behaviour == "drips" and not lines)  # it fails only after it has ended
    for line in lines:
        assert (line["level"], line["logger"]) == ("warning", "chassis.telemetry.otlp")
        assert line["message"].startswith("spans may be lost, check the collector: ")
    assert written.err == ""
    assert losses.total == 3 * BATCH


def test_a_complaint_is_logged_again_after_a_while(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = start(closed_port())
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for now in (1000.0, 1001.0, 1059.9, 1060.0, 1119.9, 1120.1):
        logging.getLogger("opentelemetry.sdk").warning("at %g", now)
        logging.getLogger("opentelemetry.sdk").info("not even once")
    monkeypatch.undo()
    recorder.stop(10)
    assert [record.args for record in caplog.records] == [("at 1000",), ("at 1060",), ("at 1120.1",)]


def test_a_collector_that_comes_back_gets_what_waits(start: Start, losses: Losses) -> None:
    status = 503
    with collecting(lambda _: (status, {})) as collector:
        recorder = start(collector.url, **small_queue())
        for _ in range(BATCH):
            record(recorder)
        until(lambda: collector.requests, "the collector has refused once")
        status = 200
        recorder.stop(10)
        assert losses.total == 0
        assert len(collector.received) >= BATCH


def test_a_program_counts_the_spans_that_it_loses() -> None:
    settings = TelemetrySettings(otel_exporter_otlp_endpoint=closed_port(), otel_traces_sampler_arg=1.0)
    programs.observe("order-service", settings)
    before = total("shop_spans_lost_total")
    for _ in range(3):
        tracing.start("work", INTERNAL, None).end()
    tracing.stop(10)
    assert total("shop_spans_lost_total") == before + 3


PROGRAM = """
import time
from chassis.config import ConfigurationError, TelemetrySettings
from chassis.telemetry import programs, tracing
programs.observe("order-worker", TelemetrySettings.load())
for _ in range(100):
    tracing.start("work", tracing.INTERNAL, None).end()
started = time.monotonic()
tracing.stop()
print(time.monotonic() - started)
"""


@pytest.mark.parametrize("timeout", ["0.9", "1", "2"])
def test_a_program_ends_quietly_and_in_time_while_its_collector_hangs(timeout: str) -> None:
    with hanging() as collector:
        environment = {
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_TIMEOUT": timeout,
            "OTEL_TRACES_SAMPLER_ARG": "1",
        }
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=PIPE, stderr=PIPE, text=True
        ) as program:
            assert program.stdout
            assert program.stderr
            lines = program.stdout.readlines()
            ended, errors = time.monotonic(), program.stderr.read()
            assert (program.wait(60), errors) == (0, "")
            assert time.monotonic() - ended < EXIT_WITHIN
    assert float(lines[-1]) < EXIT_WITHIN
    assert all(json.loads(line)["logger"] == "chassis.telemetry.otlp" for line in lines[:-1])


def test_a_setting_that_the_library_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")  # less than a batch
    settings = TelemetrySettings(otel_exporter_otlp_endpoint="http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"^configuration: OTEL_\*: max_export_batch_size must be"):
        programs.observe("order-worker", settings)
