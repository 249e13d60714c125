"""The home of OpenTelemetry: records spans with its SDK, and sends them by OTLP over HTTP (protobuf).

A collector that is away, slow or refuses costs nothing but its spans: one thread sends them in batches from a bounded
queue, and what finds the queue full is dropped. The variables of OpenTelemetry's SDK apply, for example
OTEL_EXPORTER_OTLP_HEADERS and OTEL_BSP_MAX_QUEUE_SIZE
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

import logging
import threading
import time
import uuid
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
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


class OtlpRecorder:
    """Records every span that it is asked for. Create it after a fork: a fork does not copy its thread."""

    def __init__(self, service: str, endpoint: str, timeout: float) -> None:
        resource = Resource.create({"service.name": service, "service.instance.id": str(uuid.uuid4())})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=timeout)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
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


def _span_context(place: TraceContext) -> SpanContext:
    state = TraceState.from_header([place.state]) if place.state else None
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, TraceFlags(place.flags), state)


class OncePerMinute(logging.Filter):
    """Passes a record of each OpenTelemetry logger at most once a minute: a dead collector fails every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + LOG_EVERY
        return True
