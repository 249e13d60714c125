"""Notifications: each event gives one per channel, whatever is redelivered, and the history tells how far each is."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from chassis.errors import Unavailable
from chassis.paging import Page
from chassis.refusals import Refusals
from notification_service.model import Event, Notification, Recorded
from notification_service.texts import notifications_of

if TYPE_CHECKING:
    from notification_service.store import NotificationStore

T = TypeVar("T")

log = logging.getLogger(__name__)


class NotSent(Exception):
    """A channel could not send. Its text is logged and kept, so it must not name the recipient. Safe to retry."""

    permanent = False


class Undeliverable(NotSent):
    """A channel will never send this to that recipient: retrying is pointless."""

    permanent = True


class Claimed(NotSent):
    """Somebody else is sending, or died while sending. Safe to retry, and soon: a claim ends with its lease."""


class Undelivered(Exception):
    """Some channels have not sent. Safe to repeat: what was sent is not sent again.

    `permanent`: it is pointless. `claimed`: nothing has failed, somebody else is at it.
    """

    def __init__(self, problems: list[NotSent]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.permanent = all(problem.permanent for problem in problems)
        self.claimed = all(isinstance(problem, Claimed) for problem in problems)


class Channel(Protocol):
    """A way to reach a user."""

    def send(self, notification: Notification) -> None:
        """Send a notification, within seconds. Raises NotSent."""


@dataclass(frozen=True)
class History:
    """What the web service shows."""

    store: "NotificationStore"

    def page(self, user_id: str | None, *, limit: int, cursor: str | None) -> Page[Recorded]:
        """Return a page of a user's notifications, or of everybody's, newest first. Raises Invalid."""
        return self.store.page(user_id, limit=limit, cursor=cursor)


class Patience:
    """Repeats a step while the database is away, with pauses up to 5 s, until it succeeds or `stop` is set.

    `sign_of_life` is called before each pause: this is waiting, not hanging. A database that refuses is noted.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        longest: float = 5.0,
        sign_of_life: Callable[[], None] = lambda: None,
        refusals: Refusals | None = None,
    ) -> None:
        self._stop = stop
        self._longest = longest
        self._sign_of_life = sign_of_life
        self._refusals = Refusals() if refusals is None else refusals

    def __call__(self, step: Callable[[], T]) -> T:
        """Return what the step returns. Raises Unavailable when told to stop."""
        pause = 0.1
        while True:
            try:
                with self._refusals.watch("the database"):
                    return step()
            except Unavailable as exc:
                log.warning("waiting for the database: %s", exc.detail)
                self._sign_of_life()
                if self._stop.wait(pause):
                    raise
                pause = min(2 * pause, self._longest)


class Notifier:
    """Tells users what happened to their orders."""

    def __init__(self, store: "NotificationStore", channels: Mapping[str, Channel], patiently: Patience) -> None:
        self._store = store
        self._channels = channels
        self._patiently = patiently

    def notify(self, event: Event) -> None:
        """Send what is not sent yet, each channel whatever becomes of the others.

        Raises Undelivered, and Unavailable if told to stop while the database is away.
        """
        notifications, claim = notifications_of(event), uuid.uuid4().hex
        is_claimed = self._patiently(lambda: self._store.add(notifications, claim))
        found = [self._deliver(n, claim, is_claimed=is_claimed and n is notifications[0]) for n in notifications]
        problems = [problem for problem in found if problem is not None]
        if problems:
            raise Undelivered(problems)

    def _deliver(self, notification: Notification, claim: str, *, is_claimed: bool) -> NotSent | None:
        """Claim, send, mark. A claim holds for a lease, so that a crash in between leaves nothing stuck."""
        if not (is_claimed or self._patiently(lambda: self._store.claim(notification.id, claim))):
            sent = self._patiently(lambda: self._store.is_sent(notification.id))
            return None if sent else Claimed(f"{notification.channel}: another consumer is sending it")
        problem = self._send(notification)
        if problem is None:
            self._patiently(lambda: self._store.mark_sent(notification.id))
        else:
            self._patiently(lambda: self._store.mark_failed(notification.id, claim, str(problem)))
        return problem

    def _send(self, notification: Notification) -> NotSent | None:
        extra = {"event_id": notification.event_id, "channel": notification.channel}
        try:
            self._channels[notification.channel].send(notification)
        except NotSent as exc:
            log.warning("not sent: %s", exc, extra=extra)
            return type(exc)(f"{notification.channel}: {exc}")
        except Exception as exc:  # whatever it is, the other channel is still to be tried
            log.error("unexpected error in a channel", exc_info=exc, extra=extra)
            return NotSent(f"{notification.channel}: unexpected {type(exc).__name__}")
        log.info("sent", extra=extra)
        return None
