"""Handling messages: reads the events of a batch, and sends all their notifications together."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat

from chassis.errors import Unavailable
from chassis.telemetry import context
from notification_service.delivery import Disposition, Outcome
from notification_service.delivery_traces import Delivery, DeliveryTraces
from notification_service.events import InvalidEvent, read_event
from notification_service.model import Event, Notification
from notification_service.notifier import Notifier

Compose = Callable[[Event], list[Notification]]

log = logging.getLogger(__name__)


def handle_messages(compose: Compose, notifier: Notifier, batch: Sequence[Delivery]) -> list[Outcome]:
    """Send the notifications of the events in the messages; return the outcome of each message. It never raises."""
    traces = DeliveryTraces(len(batch))
    messages = [_compose(compose, delivery, traces) for delivery in batch]
    outcomes: Iterator[Outcome]
    try:
        with context.use(traces.shared):
            outcomes = iter(notifier.notify([message for message in messages if not isinstance(message, Outcome)]))
    except Unavailable as exc:
        outcomes = repeat(Outcome(Disposition.UNSETTLED, exc.detail))
    except Exception as exc:
        outcomes = repeat(_unexpected(exc))
    settled = [message if isinstance(message, Outcome) else next(outcomes) for message in messages]
    traces.end(settled)
    return settled


def _compose(compose: Compose, delivery: Delivery, traces: DeliveryTraces) -> list[Notification] | Outcome:
    """Return the notifications of an event, or the outcome of a message that cannot be read."""
    event = _read(delivery.body)
    if isinstance(event, Outcome):
        traces.begin(delivery, None)
        return event
    try:
        return compose(replace(event, trace=traces.begin(delivery, event.trace)))
    except Exception as exc:
        return _unexpected(exc)


def _read(body: bytes) -> Event | Outcome:
    try:
        return read_event(body)
    except InvalidEvent as exc:
        return Outcome(Disposition.DEAD_LETTER, str(exc))
    except Exception as exc:
        return _unexpected(exc)


def _unexpected(exc: Exception) -> Outcome:
    log.error("message not handled: unexpected error", exc_info=exc)
    return Outcome(Disposition.RETRY, f"unexpected {type(exc).__name__}")
