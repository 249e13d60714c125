"""What becomes of messages: each is done, to be tried again, dead, or to be left to the broker."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from chassis.errors import Unavailable
from notification_service.events import Unreadable, read_event
from notification_service.notifications import Claimed, Notifier, NotSent, Stopping, Task
from notification_service.texts import notifications_of

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
    """Handles the bodies of messages. It never raises."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def __call__(self, bodies: Sequence[bytes]) -> list[Outcome]:
        """Notify of the events in the bodies, all of them together; return what becomes of each."""
        read = [_read(body) for body in bodies]
        outcomes = iter(self._notify([task for task in read if isinstance(task, Task)]))
        return [one if isinstance(one, Outcome) else next(outcomes) for one in read]

    def _notify(self, tasks: Sequence[Task]) -> list[Outcome]:
        try:
            return [_outcome(problems) for problems in self._notifier.notify(tasks)]
        except Unavailable as exc:
            return [Outcome(Verdict.LEAVE, exc.detail)] * len(tasks)
        except Exception as exc:
            return [_unexpected(exc)] * len(tasks)


def _read(body: bytes) -> Task | Outcome:
    try:
        event = read_event(body)
        return Task(notifications_of(event), event.request_id or event.id)
    except Unreadable as exc:
        return Outcome(Verdict.DEAD, str(exc))
    except Exception as exc:
        return _unexpected(exc)


def _unexpected(exc: Exception) -> Outcome:
    log.error("unexpected error", exc_info=exc)
    return Outcome(Verdict.RETRY, f"unexpected {type(exc).__name__}")


def _outcome(problems: Sequence[NotSent]) -> Outcome:
    return Outcome(_verdict(problems), "; ".join(map(str, problems))) if problems else Outcome(Verdict.DONE)


def _verdict(problems: Sequence[NotSent]) -> Verdict:
    if all(isinstance(problem, Claimed) for problem in problems):
        return Verdict.LEAVE if any(isinstance(problem, Stopping) for problem in problems) else Verdict.WAIT
    return Verdict.DEAD if all(problem.permanent for problem in problems) else Verdict.RETRY
