"""Spans: the parts of a trace. `chassis.telemetry.otlp` records and sends them, if a collector is set.

Whether a trace is recorded (sampling) is decided once, at its start, and before OpenTelemetry is touched: an unrecorded
request costs a few microseconds, and without a collector OpenTelemetry is not even imported. No attribute has data of a
person, a secret or a search text; `contracts/telemetry.json` lists all spans and their attributes.

To trace more work, add the span to that list and wrap the work in `span(...)`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from chassis.telemetry import context
from chassis.telemetry.context import SAMPLED, TraceContext

SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL = "SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"

SECONDS_TO_STOP = 1.0  # a program that ends must not wait for its collector; one that answers takes milliseconds

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A part of a trace, from its start to `end`. Safe to pass to another thread."""

    context: TraceContext

    def set(self, name: str, value: str | float | bool) -> None:
        """Set an attribute."""

    def fail(self, error: str) -> None:
        """Mark the span as failed. `error` is the name of an exception's class, or a status: never a text."""

    def end(self) -> None:
        """End the span; after that it does not change."""


class Recorder(Protocol):
    """Records spans and sends them. `stop` sends what waits, for at most `seconds`."""

    def start(
        self, name: str, kind: str, parent: TraceContext | None, attributes: Attributes, links: Sequence[TraceContext]
    ) -> Span:
        """Return a new span; one without parent begins a trace."""

    def stop(self, seconds: float) -> None:
        """End the sending."""


class NoSpan:
    """Stands for a span in a trace that is not recorded."""

    def __init__(self, trace: TraceContext) -> None:
        self.context = trace

    def set(self, name: str, value: str | float | bool) -> None:
        """Do nothing."""

    def fail(self, error: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


_NOWHERE = NoSpan(TraceContext("0" * 32, "0" * 16))


class _Tracing:
    """The tracing of this process."""

    recorder: Recorder | None = None
    ratio: float = 0.0


def record_with(recorder: Recorder | None, ratio: float = 0.0) -> None:
    """Let a recorder record this share of all new traces, and every trace that another program has begun to record."""
    _Tracing.recorder, _Tracing.ratio = recorder, ratio


def stop(seconds: float = SECONDS_TO_STOP) -> None:
    """Send the spans that wait, and end the recording. It takes at most about `seconds`."""
    recorder, _Tracing.recorder = _Tracing.recorder, None
    if recorder:
        recorder.stop(seconds)


def start(
    name: str,
    kind: str,
    parent: TraceContext | None,
    attributes: Attributes | None = None,
    links: Sequence[TraceContext] = (),
) -> Span:
    """Start a span below `parent`, or a new trace if that is None. The caller ends it, in whichever thread."""
    recorder = _Tracing.recorder
    if parent is None:
        new = context.new()
        if recorder is None or int(new.trace_id[16:], 16) >= _Tracing.ratio * 2**64:
            return NoSpan(new)
    elif recorder is None or not parent.flags & SAMPLED:
        return NoSpan(parent)
    return recorder.start(name, kind, parent, attributes or {}, links)


def is_recording() -> bool:
    """Return whether spans of the current work are recorded. Ask before you compute attributes."""
    trace = context.current.get()
    return _Tracing.recorder is not None and trace is not None and bool(trace.flags & SAMPLED)


@contextmanager
def span(name: str, kind: str = INTERNAL, attributes: Attributes | None = None) -> Iterator[Span]:
    """Record the block as a span of the current trace, if that is recorded; an exception marks it as failed."""
    trace, recorder = context.current.get(), _Tracing.recorder
    if recorder is None or trace is None or not trace.flags & SAMPLED:
        yield _NOWHERE
        return
    with within(recorder.start(name, kind, trace, attributes or {}, ())) as part:
        yield part


@contextmanager
def follow_up(name: str, cause: TraceContext | None, attributes: Attributes) -> Iterator[Span]:
    """Record the block as a trace of its own with a link to its cause, if that was recorded.

    It is for work that follows long after its cause: repairs, refunds.
    """
    recorder = _Tracing.recorder
    if recorder is None or cause is None or not cause.is_sampled:
        part: Span = NoSpan(context.new())
    else:
        part = recorder.start(name, INTERNAL, None, attributes, [cause])
    with within(part):
        yield part


@contextmanager
def within(part: Span) -> Iterator[Span]:
    """Make a started span the current one for the block, and end it there; an exception marks it as failed."""
    token = context.current.set(part.context)
    try:
        yield part
    except BaseException as exc:
        part.fail(type(exc).__name__)
        raise
    finally:
        part.end()
        context.current.reset(token)
