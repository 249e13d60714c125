"""Whether a trace is recorded is decided at its start, and everything below it follows."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chassis.telemetry import context, tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from chassis.telemetry.tracing import CLIENT, INTERNAL, SERVER, NoSpan
from tests.at_once import at_once
from tests.recorded_spans import FakeRecorder, recording
from tools.paths import ROOT

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", SAMPLED, "vendor=1")
UNRECORDED = PARENT._replace(flags=0)


class Untouched:
    """A recorder that must not be asked."""

    def start(self, *_: Any) -> NoSpan:
        raise AssertionError("asked for a span of a trace that is not recorded")

    def stop(self, seconds: float) -> None:
        raise AssertionError("not the recorder any more")


@pytest.fixture
def recorder() -> Iterator[FakeRecorder]:
    with recording() as recorder:
        yield recorder


def draw(monkeypatch: pytest.MonkeyPatch, low_half: int) -> None:
    """Let the next traces have an id that ends with these 64 bits."""
    monkeypatch.setattr(context, "new", lambda: TraceContext(f"{2**64 - 1:016x}{low_half:016x}", "b" * 16))


@pytest.mark.parametrize(
    ("ratio", "low_half"),
    [(0.0, 0), (0.0, 1), (0.5, 2**63), (0.5, 2**64 - 1), (0.1, 2**64 // 10 + 10**6), (1e-9, 2**36)],
)
def test_an_unlucky_trace_never_reaches_the_recorder(
    monkeypatch: pytest.MonkeyPatch, ratio: float, low_half: int
) -> None:
    tracing.record_with(Untouched(), ratio)
    draw(monkeypatch, low_half)
    span = tracing.start("GET /things", SERVER, None)
    assert span.context == context.new()
    assert span.context.is_sampled is False


@pytest.mark.parametrize(
    ("ratio", "low_half"), [(1.0, 0), (1.0, 2**64 - 1), (0.5, 0), (0.5, 2**63 - 1), (0.1, 2**64 // 10 - 10**6)]
)
def test_a_lucky_trace_is_recorded(monkeypatch: pytest.MonkeyPatch, ratio: float, low_half: int) -> None:
    draw(monkeypatch, low_half)
    with recording(ratio) as recorder:
        span = tracing.start("GET /things", SERVER, None, {"a": 1})
        span.end()
    recorded = recorder.only("GET /things")
    assert (recorded.kind, recorded.parent, recorded.attributes, recorded.links) == (SERVER, None, {"a": 1}, [])
    assert span.context.is_sampled


def test_the_share_of_recorded_traces_is_the_ratio() -> None:
    with recording(ratio=0.3) as recorder:
        for _ in range(4000):
            tracing.start("work", INTERNAL, None).end()
    assert 0.25 < len(recorder.spans) / 4000 < 0.35


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_a_trace_that_another_program_began_is_recorded_if_that_one_recorded_it(flags: int, ratio: float) -> None:
    parent = PARENT._replace(flags=flags)
    with recording(ratio) as recorder:
        span = tracing.start("work", INTERNAL, parent, links=[PARENT])
        span.end()
    if flags & SAMPLED:
        assert (recorder.only("work").parent, recorder.only("work").links) == (parent, [PARENT])
        assert (span.context.trace_id, span.context.span_id == parent.span_id) == (parent.trace_id, False)
    else:
        assert recorder.spans == []
        assert span.context == parent  # with its state: the next program gets what came in


@pytest.mark.parametrize("parent", [None, PARENT, UNRECORDED])
def test_without_a_collector_every_trace_goes_on_and_nothing_is_recorded(parent: TraceContext | None) -> None:
    tracing.record_with(None, 1.0)
    span = tracing.start("work", INTERNAL, parent)
    assert isinstance(span, NoSpan)
    assert span.context == parent or (parent is None and not span.context.is_sampled)
    span.set("a", 1)
    span.fail("KeyError")
    span.end()


@pytest.mark.parametrize(
    ("current", "recorder", "expected"),
    [
        (PARENT, FakeRecorder(), True),
        (UNRECORDED, FakeRecorder(), False),
        (None, FakeRecorder(), False),
        (PARENT, None, False),
    ],
)
def test_work_is_recorded_with_a_collector_and_inside_a_recorded_trace(
    current: TraceContext | None, recorder: FakeRecorder | None, expected: bool
) -> None:
    tracing.record_with(recorder, 1.0)
    with context.use(current):
        assert tracing.is_recording() is expected


def test_spans_nest(recorder: FakeRecorder) -> None:
    with context.use(PARENT):
        with tracing.span("outer") as outer:
            with tracing.span("inner", CLIENT, {"a": 1}) as inner:
                assert context.current.get() == inner.context
                inner.set("b", 2)
            with tracing.span("second"):
                pass
            assert context.current.get() == outer.context
        assert context.current.get() == PARENT
    assert (recorder.only("outer").parent, recorder.children(recorder.only("outer"))) == (PARENT, ["inner", "second"])
    assert (recorder.only("inner").kind, recorder.only("inner").attributes) == (CLIENT, {"a": 1, "b": 2})


@pytest.mark.parametrize("current", [None, UNRECORDED])
def test_a_part_of_an_unrecorded_trace_is_none(current: TraceContext | None) -> None:
    tracing.record_with(Untouched(), 1.0)
    with context.use(current), tracing.span("work") as span:
        span.set("a", 1)
        assert context.current.get() == current


class Interrupted(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [KeyError, Interrupted, SystemExit, KeyboardInterrupt])
def test_an_exception_fails_the_span_with_its_type_and_goes_on(
    recorder: FakeRecorder, error: type[BaseException]
) -> None:
    def fail() -> None:
        with tracing.span("work"):
            raise error("@".join(["ana", "example.com"]))

    with context.use(PARENT), pytest.raises(error):
        fail()
    assert (recorder.only("work").error, recorder.only("work").ended) == (error.__name__, 1)
    assert recorder.only("work").attributes == {}


def test_a_span_ends_also_where_its_block_is_left_in_another_context(recorder: FakeRecorder) -> None:
    """A generator may be closed elsewhere than where it began."""

    def parts() -> Iterator[int]:
        with tracing.span("work"):
            yield 1
            yield 2

    with context.use(PARENT):
        begun = parts()
        next(begun)
        context.current.set(PARENT)

    def close() -> None:
        with pytest.raises(ValueError, match="was created in a different Context"):
            begun.close()

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert (recorder.only("work").ended, recorder.only("work").error) == (1, "GeneratorExit")


def test_a_span_may_end_in_another_thread(recorder: FakeRecorder) -> None:
    span = tracing.start("work", INTERNAL, PARENT)

    def finish() -> None:
        with tracing.within(span):
            assert context.trace_id() == PARENT.trace_id
            with tracing.span("part"):
                pass

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert recorder.children(recorder.only("work")) == ["part"]
    assert context.current.get() is None


def test_each_thread_has_a_trace_of_its_own(recorder: FakeRecorder) -> None:
    def work(number: int) -> bool:
        trace = PARENT._replace(trace_id=f"{number + 1:032x}")
        for _ in range(50):
            with context.use(trace), tracing.span(f"outer {number}"), tracing.span(f"inner {number}"):
                if context.trace_id() != trace.trace_id:
                    return False
        return context.current.get() is None

    assert all(at_once(8, work))
    for number in range(8):
        spans = recorder.named(f"outer {number}") + recorder.named(f"inner {number}")
        assert {span.context.trace_id for span in spans} == {f"{number + 1:032x}"}


@pytest.mark.parametrize(("cause", "is_recorded"), [(PARENT, True), (UNRECORDED, False), (None, False)])
def test_late_work_is_a_trace_of_its_own_that_links_to_a_recorded_cause(
    recorder: FakeRecorder, cause: TraceContext | None, is_recorded: bool
) -> None:
    with context.use(UNRECORDED), tracing.follow_up("repair", cause, {"shop.order.id": "1"}):
        assert context.trace_id() not in ("", PARENT.trace_id)
        assert tracing.is_recording() is is_recorded
    assert [(span.parent, span.links, span.attributes) for span in recorder.named("repair")] == (
        [(None, [cause], {"shop.order.id": "1"})] if is_recorded else []
    )


class Stopping(FakeRecorder):
    """Remembers how long it was given to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[float] = []

    def stop(self, seconds: float) -> None:
        self.given.append(seconds)


def test_a_recorder_is_stopped_once_and_asked_no_more() -> None:
    recorder = Stopping()
    tracing.record_with(recorder, 1.0)
    tracing.stop()
    tracing.stop()
    assert recorder.given == [1.0]
    assert isinstance(tracing.start("late", INTERNAL, PARENT), NoSpan)


def run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command: Sequence[str] = [sys.executable, "-c", script]
    return subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, check=False
    )


LOOK = """
import sys
from chassis.config import TelemetrySettings
from chassis.telemetry import programs, tracing
settings = TelemetrySettings.load()
programs.preload(settings)
programs.observe("shop", settings)
print("opentelemetry" in sys.modules, tracing._Tracing.recorder is not None, tracing._Tracing.ratio)
tracing.stop()
"""


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, "False False 0.1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "False False 0.1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, "False False 0.1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "True True 0.1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "ENVIRONMENT": "development"}, "True True 1.0"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, "True True 0.25"),
    ],
)
def test_opentelemetry_is_loaded_only_with_a_collector(environment: dict[str, str], found: str) -> None:
    done = run(LOOK, **environment)
    assert (done.stdout.strip(), done.stderr) == (found, "")


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", "nan", "all"])
def test_a_share_of_traces_is_between_0_and_1(ratio: str) -> None:
    done = run(LOOK, OTEL_TRACES_SAMPLER_ARG=ratio)
    assert done.returncode == 1
    assert done.stderr.startswith("configuration: OTEL_TRACES_SAMPLER_ARG must be ")
