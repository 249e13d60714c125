"""The traces of messages: a CONSUMER span for each delivery, from its batch's begin to its outcome.

The span is below the one that has published the message, and linked to the request that caused the event, so that
retries and replays show in the same trace. The calls of the store that a batch shares are below the span of its first
recorded message; the spans of the others are linked to that one. (OpenTelemetry's conventions for messaging.)
"""

from collections.abc import Sequence
from typing import Protocol

from chassis.telemetry import tracing
from chassis.telemetry.context import TraceContext
from chassis.telemetry.tracing import CONSUMER, Attributes, NoSpan, Span
from notification_service.delivery import Disposition, Outcome
from notification_service.topology import NOTIFICATIONS


class Delivery(Protocol):
    """A message as the broker has delivered it; `attempts` is how many have failed before."""

    body: bytes

    @property
    def id(self) -> str:
        """The id of the message."""

    @property
    def attempts(self) -> int:
        """How many attempts have failed."""

    @property
    def trace(self) -> TraceContext | None:
        """Its place in a trace, None without one."""


class DeliveryTraces:
    """The spans of a batch of `size` messages."""

    def __init__(self, size: int) -> None:
        self.shared: TraceContext | None = None  # the place of what the batch does together
        self._size = size
        self._spans: list[Span] = []

    def begin(self, delivery: Delivery, cause: TraceContext | None) -> TraceContext:
        """Begin the span of the next message, whose event has the place of its `cause`; return the span's place."""
        parent = delivery.trace or cause
        span = NoSpan(parent) if parent and not parent.is_sampled else self._start(delivery, parent, cause)
        self._spans.append(span)
        if self.shared is None and span.context.is_sampled:
            self.shared = span.context
        return span.context

    def _start(self, delivery: Delivery, parent: TraceContext | None, cause: TraceContext | None) -> Span:
        links = [link for link in (cause, self.shared) if link is not None]
        attributes: Attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": NOTIFICATIONS,
            "messaging.message.id": delivery.id,
            "messaging.batch.message_count": self._size,
            "messaging.rabbitmq.attempt": delivery.attempts + 1,
        }
        return tracing.start(f"process {NOTIFICATIONS}", CONSUMER, parent, attributes, links)

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """End the spans with the outcomes of their messages."""
        for span, outcome in zip(self._spans, outcomes, strict=True):
            name = outcome.disposition.name.lower()
            span.set("shop.disposition", name)
            if outcome.disposition is not Disposition.ACKNOWLEDGE:
                span.fail(name)
            span.end()
