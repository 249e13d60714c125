"""What becomes of a message: it is done, to be tried again, dead, or to be left to the broker."""

import logging
from dataclasses import dataclass
from enum import Enum, auto

from chassis import logs
from chassis.errors import Unavailable
from notification_service.events import Unreadable, read_event
from notification_service.model import Event
from notification_service.notifications import Notifier, Undelivered

log = logging.getLogger(__name__)


class Verdict(Enum):
    """What the consumer is to do with a message.

    WAIT is a short retry that does not count as an attempt. What is left stays unacknowledged: the broker delivers it
    again.
    """

    DONE = auto()
    RETRY = auto()
    WAIT = auto()
    DEAD = auto()
    LEAVE = auto()


@dataclass(frozen=True)
class Outcome:
    """A verdict, and the reason for it, which names no person."""

    verdict: Verdict
    reason: str = ""


class Handler:
    """Handles the body of a message. It never raises."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def __call__(self, body: bytes) -> Outcome:
        """Notify of the event in a body."""
        try:
            event = read_event(body)
        except Unreadable as exc:
            return Outcome(Verdict.DEAD, str(exc))
        with logs.bound_to(event.request_id or event.id):
            return self._notify(event)

    def _notify(self, event: Event) -> Outcome:
        try:
            self._notifier.notify(event)
        except Undelivered as exc:
            return Outcome(_verdict(exc), str(exc))
        except Unavailable as exc:
            return Outcome(Verdict.LEAVE, exc.detail)
        except Exception as exc:
            log.error("unexpected error", exc_info=exc, extra={"event_id": event.id})
            return Outcome(Verdict.RETRY, f"unexpected {type(exc).__name__}")
        return Outcome(Verdict.DONE)


def _verdict(undelivered: Undelivered) -> Verdict:
    if undelivered.claimed:
        return Verdict.WAIT
    return Verdict.DEAD if undelivered.permanent else Verdict.RETRY
