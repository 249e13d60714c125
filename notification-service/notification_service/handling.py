"""Handling messages: reads the events of a batch, and sends all their notifications together."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

from chassis.errors import Unavailable
from notification_service.delivery import Disposition, Outcome
from notification_service.events import InvalidEvent, read_event
from notification_service.model import Event, Notification
from notification_service.notifier import Notifier

Compose = Callable[[Event], list[Notification]]

log = logging.getLogger(__name__)


def handle_messages(compose: Compose, notifier: Notifier, bodies: Sequence[bytes]) -> list[Outcome]:
    """Send the notifications of the events in the bodies; return the outcome of each message. It never raises."""
    messages = [_compose(compose, body) for body in bodies]
    outcomes: Iterator[Outcome]
    try:
        outcomes = iter(notifier.notify([message for message in messages if not isinstance(message, Outcome)]))
    except Unavailable as exc:
        outcomes = repeat(Outcome(Disposition.UNSETTLED, exc.detail))
    except Exception as exc:
        outcomes = repeat(_unexpected(exc))
    return [message if isinstance(message, Outcome) else next(outcomes) for message in messages]


def _compose(compose: Compose, body: bytes) -> list[Notification] | Outcome:
    """Return the notifications of an event, or the outcome of a message that cannot be read."""
    try:
        return compose(read_event(body))
    except InvalidEvent as exc:
        return Outcome(Disposition.DEAD_LETTER, str(exc))
    except Exception as exc:
        return _unexpected(exc)


def _unexpected(exc: Exception) -> Outcome:
    log.error("message not handled: unexpected error", exc_info=exc)
    return Outcome(Disposition.RETRY, f"unexpected {type(exc).__name__}")
