"""The home of OpenTelemetry: records spans with its SDK, and sends them by OTLP over HTTP (protobuf).

A collector that is away, slow or refuses costs nothing but its spans: one thread sends them in batches from a bounded
queue, and what finds the queue full is dropped and counted. The library itself reads OTEL_EXPORTER_OTLP_HEADERS,
OTEL_BSP_* and some others (docs/configuration.md).
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from chassis.telemetry.context import TraceContext
from chassis.telemetry.tracing import Attributes

LOG_EVERY = 60.0  # s between two log lines about a collector that fails

log = logging.getLogger(__name__)


class RecordedSpan:
    """A span of the SDK, as the rest of the program sees it."""

    def __init__(self, span: SdkSpan, state: str) -> None:
        self._span = span
        ids = span.get_span_context()
        self.context = TraceContext(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", int(ids.trace_flags), state)

    def set(self, name: str, value: str | float | bool) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def fail(self, error: str) -> None:
        """Mark the span as failed, without the text of an exception: it may have data of a person."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """End the span and queue it for sending."""
        self._span.end()


class _Exporter(OTLPSpanExporter):
    """Reports the number of spans that the collector does not take."""

    def __init__(self, endpoint: str, timeout: float, on_loss: Callable[[int], None]) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self._on_loss = on_loss
        self._sending = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        self._sending = len(spans)
        try:
            result = super().export(spans)
            if result is SpanExportResult.SUCCESS:
                self._sending = 0
            return result
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Report the spans that are being sent as lost."""
        lost, self._sending = self._sending, 0
        if lost:
            self._on_loss(lost)


class _Queue(BatchSpanProcessor):
    """Reports the number of spans that find it full. The library reports none, and drops older ones instead."""

    def __init__(self, exporter: _Exporter, on_loss: Callable[[int], None]) -> None:
        super().__init__(exporter)
        self._on_loss, self._lock = on_loss, threading.Lock()
        self._waiting = self._batch_processor._queue

    def on_end(self, span: ReadableSpan) -> None:
        """Queue an ended span, unless the queue is full."""
        with self._lock:
            if len(self._waiting) != self._waiting.maxlen:
                super().on_end(span)
                return
        self._on_loss(1)

    def give_up(self) -> None:
        """Report the spans that still wait as lost."""
        self._on_loss(len(self._waiting))
        self._waiting.clear()


class OtlpRecorder:
    """Records every span that it is asked for. Create it after a fork: a fork does not copy its thread."""

    def __init__(self, service: str, endpoint: str, timeout: float, on_loss: Callable[[int], None]) -> None:
        library = logging.getLogger("opentelemetry")
        library.handlers[:], library.propagate = [_Complaints()], False
        resource = Resource.create({"service.name": service, "service.instance.id": str(uuid.uuid4())})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._exporter = _Exporter(f"{endpoint.rstrip('/')}/v1/traces", timeout, on_loss)
        self._queue = _Queue(self._exporter, on_loss)
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("shop")

    def start(
        self, name: str, kind: str, parent: TraceContext | None, attributes: Attributes, links: Sequence[TraceContext]
    ) -> RecordedSpan:
        """Return a new span; one without parent begins a trace."""
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(NonRecordingSpan(_span_context(parent))) if parent else None,
            kind=SpanKind[kind],
            attributes=dict(attributes),
            links=[Link(_span_context(link)) for link in links],
        )
        return RecordedSpan(span, parent.state if parent else "")

    def stop(self, seconds: float) -> None:
        """Send what waits, but give up after `seconds`: the exit of a program must not wait for a collector."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(seconds)
        if sending.is_alive():
            self._queue.give_up()
            self._exporter.give_up()


def _span_context(place: TraceContext) -> SpanContext:
    state = TraceState.from_header([place.state]) if place.state else None
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, TraceFlags(place.flags), state)


class _Complaints(logging.Handler):
    """Logs what OpenTelemetry complains about, at most once a minute: a collector that is away fails every second."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record of OpenTelemetry as ours, unless another was logged a moment ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_EVERY
            log.warning("spans may be lost, check the collector: %s", record.getMessage())
