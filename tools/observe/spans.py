"""Spans as a receiver of OTLP gets them, and a store that keeps the latest ones in bounded memory."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

KEPT = 20_000  # spans: those of more than a thousand orders
# No span of the shop is near these limits. They bound the memory whatever is received.
MAX_TEXT, MAX_ATTRIBUTES, MAX_LINKS = 500, 32, 16
ORDER_ATTRIBUTES = ("messaging.message.id", "url.path", "http.response.header.location", "shop.order.id")

Value = str | int | float | bool


@dataclass(frozen=True)
class Link:
    """A reference to a span, of the same or of another trace."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class Span:
    """A part of a trace. Ids are hex digits, times nanoseconds since 1970; a span without parent begins a trace."""

    trace_id: str
    span_id: str
    parent_id: str
    program: str
    name: str
    kind: str
    start: int
    end: int
    attributes: dict[str, Value] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    failed: bool = False

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Span":
        """Return the span of a JSON object that the receiver has answered."""
        return cls(**{**record, "links": tuple(Link(**link) for link in record["links"])})

    def concerns(self, order_id: str) -> bool:
        """Return whether an attribute names the order: as `{id}`, `/orders/{id}/pay` or `{id}.order_paid`."""
        names = (str(self.attributes.get(name, "")) for name in ORDER_ATTRIBUTES)
        return any(order_id in name.replace(".", "/").split("/") for name in names)


def decode(body: bytes) -> list[Span]:
    """Return the spans of an ExportTraceServiceRequest. Raises ValueError if it is none."""
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as exc:
        raise ValueError("not an ExportTraceServiceRequest") from exc
    return [
        _span(span, str(_attributes(resource.resource.attributes).get("service.name", "?")))
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _span(span: trace_pb2.Span, program: str) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        program=program,
        name=span.name[:MAX_TEXT],
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        links=tuple(Link(link.trace_id.hex(), link.span_id.hex()) for link in span.links[:MAX_LINKS]),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in list(pairs)[:MAX_ATTRIBUTES]:
        value = getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        found[pair.key[:MAX_TEXT]] = value if isinstance(value, bool | int | float) else str(value)[:MAX_TEXT]
    return found


class SpanStore:
    """The latest spans; safe to use from several threads."""

    def __init__(self, kept: int = KEPT) -> None:
        self._spans: deque[Span] = deque(maxlen=kept)
        self._lock = threading.Lock()

    def add(self, spans: Iterable[Span]) -> None:
        """Keep spans, and forget the oldest ones when there are too many."""
        with self._lock:
            self._spans.extend(spans)

    def all(self) -> list[Span]:
        """Return all spans, in the order in which they came."""
        with self._lock:
            return list(self._spans)

    def of_traces(self, wanted: Callable[[Span], bool]) -> Iterator[Span]:
        """Yield every span of the traces that have a wanted span."""
        spans = self.all()
        ids = {span.trace_id for span in spans if wanted(span)}
        return (span for span in spans if span.trace_id in ids)
