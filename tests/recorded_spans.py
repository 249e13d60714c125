"""A recorder of spans in memory, in place of OpenTelemetry's."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chassis.telemetry import tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from chassis.telemetry.tracing import Attributes


class FakeSpan:
    def __init__(self, name: str, kind: str, parent: TraceContext | None, context: TraceContext) -> None:
        self.name, self.kind, self.parent, self.context = name, kind, parent, context
        self.attributes: dict[str, Any] = {}
        self.links: list[TraceContext] = []
        self.error: str | None = None
        self.ended = 0

    def set(self, name: str, value: str | float | bool) -> None:
        self.attributes[name] = value

    def fail(self, error: str) -> None:
        self.error = error

    def end(self) -> None:
        self.ended += 1


class FakeRecorder:
    """Keeps every span that it is asked for, in the order of their begin."""

    def __init__(self) -> None:
        self.spans: list[FakeSpan] = []
        self._numbers = itertools.count(1)

    def start(
        self, name: str, kind: str, parent: TraceContext | None, attributes: Attributes, links: Sequence[TraceContext]
    ) -> FakeSpan:
        trace_id = parent.trace_id if parent else f"{next(self._numbers):032x}"
        span = FakeSpan(name, kind, parent, TraceContext(trace_id, f"{next(self._numbers):016x}", SAMPLED))
        span.attributes |= attributes
        span.links += links
        self.spans.append(span)
        return span

    def stop(self, seconds: float) -> None:
        pass

    def named(self, name: str) -> list[FakeSpan]:
        return [span for span in self.spans if span.name == name]

    def only(self, name: str) -> FakeSpan:
        [span] = self.named(name)
        return span

    def children(self, of: FakeSpan) -> list[str]:
        return [span.name for span in self.spans if span.parent and span.parent.span_id == of.context.span_id]


@contextmanager
def recording(ratio: float = 1.0) -> Iterator[FakeRecorder]:
    """Record this share of new traces during the block; all spans must have ended exactly once after it."""
    recorder = FakeRecorder()
    tracing.record_with(recorder, ratio)
    try:
        yield recorder
    finally:
        tracing.record_with(None)
    assert {span.name: span.ended for span in recorder.spans if span.ended != 1} == {}
