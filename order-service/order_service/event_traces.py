"""The traces of events on their way to the broker: a PRODUCER span from sending to confirm.

The span is below the request that caused the event, however long ago that was, and linked to it. Its own place in the
trace goes into the message's headers, where the consumer continues; the event itself keeps the place of its cause
(OpenTelemetry's conventions for messaging, and the CloudEvents extension for distributed tracing). Without a span there
are no headers: the event alone says where its trace is.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chassis import logs
from chassis.schemas import read_time
from chassis.telemetry import context, tracing
from chassis.telemetry.context import TraceContext
from chassis.telemetry.tracing import PRODUCER, Span

log = logging.getLogger(__name__)


@contextmanager
def publishing(exchange: str, events: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, str]]]:
    """Record the publishing of events, which are confirmed at the end of the block; yield the headers of each."""
    causes = [context.read(event) for event in events]
    spans = [_start(exchange, event, cause, len(events)) for event, cause in zip(events, causes, strict=True)]
    try:
        yield [span.context.headers if span else {} for span in spans]
    except Exception as exc:
        for span in filter(None, spans):
            span.fail(type(exc).__name__)
        raise
    else:
        logs.write(log, "event published", *map(_log_entry, events, causes))
    finally:
        for span in filter(None, spans):
            span.end()


def _log_entry(event: dict[str, Any], cause: TraceContext | None) -> tuple[str, str, str]:
    return event.get("requestid", ""), cause.trace_id if cause else "", f'"event_id": {logs.quoted(event["id"])}'


def _start(exchange: str, event: dict[str, Any], cause: TraceContext | None, batch: int) -> Span | None:
    """Start the span of an event; None if its trace is not recorded, or an older version wrote it without one."""
    if cause is None or not cause.is_sampled:
        return None
    destination = f"{exchange}:{event['type']}"
    attributes: dict[str, str | int | float | bool] = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": destination,
        "messaging.message.id": event["id"],
        "messaging.batch.message_count": batch,
    }
    if occurred_at := read_time(event.get("time")):
        attributes["shop.outbox.seconds"] = round(max(0.0, time.time() - occurred_at.timestamp()), 3)
    return tracing.start(f"publish {destination}", PRODUCER, cause, attributes, [cause])
