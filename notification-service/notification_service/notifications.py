"""Notifications: each event gives one per channel, whatever is redelivered, and the history tells how far each is."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from chassis import logs
from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from chassis.paging import Page
from notification_service.model import Notification, Recorded

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
    """Nothing has failed: another consumer sends it, or its turn came late. Safe to retry, and soon."""


class Stopping(Claimed):
    """The consumer stops before its turn. Safe to deliver again at once."""


class Channel(Protocol):
    """A way to reach a user.

    Up to `at_once` notifications are sent side by side, in threads; 0 is for a channel that never waits.
    """

    at_once: int

    def send(self, notification: Notification) -> None:
        """Send a notification, within seconds, and log it. Raises NotSent."""


@dataclass(frozen=True)
class Task:
    """The notifications of one message, and the request or event that their log lines belong to."""

    notifications: Sequence[Notification]
    request_id: str = ""


@dataclass(frozen=True)
class History:
    """What the web service shows."""

    store: "NotificationStore"

    def page(self, user_id: str | None, *, limit: int, cursor: str | None) -> Page[Recorded]:
        """Return a page of a user's notifications, or of everybody's, newest first. Raises Invalid."""
        return self.store.page(user_id, limit=limit, cursor=cursor)


class Patience:
    """Repeats a step while the database is away, with pauses up to 5 s, until it succeeds or `stop` is set.

    `kick_watchdog` is called before each pause: this is waiting, not hanging. A database that refuses is noted.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        longest: float = 5.0,
        kick_watchdog: Callable[[], None] = lambda: None,
        misconfigurations: Misconfigurations | None = None,
    ) -> None:
        self._stop = stop
        self._longest = longest
        self._sign_of_life = kick_watchdog
        self._refusals = Misconfigurations() if misconfigurations is None else misconfigurations

    @property
    def is_over(self) -> bool:
        """Return whether it was told to stop."""
        return self._stop.is_set()

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
    """Tells users what happened to their orders, many at a time: insert, claim, send, mark.

    `start_within` is for how long (s) after a claim a notification may begin to be sent: its lease outlasts the rest.
    """

    def __init__(
        self,
        store: "NotificationStore",
        channels: Mapping[str, Channel],
        patiently: Patience,
        *,
        start_within: float,
    ) -> None:
        self._store = store
        self._channels = channels
        self._patiently = patiently
        self._start_within = start_within
        self._threads = {
            name: ThreadPoolExecutor(channel.at_once, thread_name_prefix=name)
            for name, channel in channels.items()
            if channel.at_once
        }

    def notify(self, tasks: Sequence[Task]) -> list[list[NotSent]]:
        """Send what is not sent yet, and return what each task has left unsent, and why: the channels fail separately.

        An event that is there twice is sent once. Raises Unavailable if told to stop while the database is away.
        """
        batch: dict[str, tuple[Notification, Task]] = {}
        for task in tasks:
            for notification in task.notifications:
                batch.setdefault(notification.id, (notification, task))
        problems = self._deliver(batch) if batch else {}
        return [[problems[n.id] for n in task.notifications if n.id in problems] for task in tasks]

    def _deliver(self, batch: Mapping[str, tuple[Notification, Task]]) -> dict[str, NotSent]:
        """Claim, send, mark. A claim holds for a lease, so that a crash in between leaves nothing stuck."""
        # The time runs from before any claim is written, outages included. What would be sent too late for its lease
        # is not sent at all: its claim is given back, and its message waits for another turn.
        start_by = time.monotonic() + self._start_within
        claim = uuid.uuid4().hex
        problems: dict[str, NotSent] = {}
        known = self._add([notification for notification, _ in batch.values()], claim, problems)
        done = self._patiently(lambda: self._store.sent_among(known)) if known else set()
        problems |= {key: _claimed(batch[key][0]) for key in known - done if not self._claim(key, claim)}
        ours = [entry for key, entry in batch.items() if key not in problems and key not in done]
        found = self._send_all(ours, start_by)
        self._note(found, claim)
        return problems | {key: problem for key, problem in found.items() if problem}

    def _add(self, notifications: list[Notification], claim: str, problems: dict[str, NotSent]) -> set[str]:
        """Insert notifications with their claim; return which were there already. One that fails spoils no other."""
        try:
            return self._patiently(lambda: self._store.add(notifications, claim))
        except Unavailable:
            raise
        except Exception as exc:
            if len(notifications) > 1:
                return set().union(*(self._add([n], claim, problems) for n in notifications))
            log.error("unexpected error", exc_info=exc, extra={"event_id": notifications[0].event_id})
            problems[notifications[0].id] = _unexpected(notifications[0], exc)
            return set()

    def _claim(self, notification_id: str, claim: str) -> bool:
        return self._patiently(lambda: self._store.claim(notification_id, claim))

    def _send_all(self, entries: Sequence[tuple[Notification, Task]], start_by: float) -> dict[str, NotSent | None]:
        """Send each channel's notifications, where it waits side by side; none of them delays another channel."""
        waiting = {
            n.id: self._threads[n.channel].submit(self._send, n, task, start_by)
            for n, task in entries
            if n.channel in self._threads
        }
        found = {n.id: self._send(n, task, start_by) for n, task in entries if n.channel not in self._threads}
        return found | {key: future.result() for key, future in waiting.items()}

    def _send(self, notification: Notification, task: Task, start_by: float) -> NotSent | None:
        if self._patiently.is_over:
            return Stopping(f"{notification.channel}: the consumer stops")
        if time.monotonic() > start_by:
            return Claimed(f"{notification.channel}: its turn came too late")
        extra = {"event_id": notification.event_id, "channel": notification.channel}
        with logs.bind_request_id(task.request_id):
            try:
                self._channels[notification.channel].send(notification)
            except NotSent as exc:
                log.warning("not sent: %s", exc, extra=extra)
                return type(exc)(f"{notification.channel}: {exc}")
            except Exception as exc:  # whatever it is, all others are still to be tried
                log.error("unexpected error in a channel", exc_info=exc, extra=extra)
                return _unexpected(notification, exc)
        return None

    def _note(self, found: Mapping[str, NotSent | None], claim: str) -> None:
        """Note what became of notifications: the sent ones in one write."""
        sent = [key for key, problem in found.items() if problem is None]
        not_begun = [key for key, problem in found.items() if isinstance(problem, Claimed)]
        if sent:
            self._patiently(lambda: self._store.mark_sent(sent))
        if not_begun:
            self._patiently(lambda: self._store.give_back(not_begun, claim))
        for key, problem in found.items():
            if problem and not isinstance(problem, Claimed):
                self._mark_failed(key, claim, str(problem))

    def _mark_failed(self, notification_id: str, claim: str, error: str) -> None:
        self._patiently(lambda: self._store.mark_failed(notification_id, claim, error))


def _claimed(notification: Notification) -> NotSent:
    return Claimed(f"{notification.channel}: another consumer is sending it")


def _unexpected(notification: Notification, exc: Exception) -> NotSent:
    return NotSent(f"{notification.channel}: unexpected {type(exc).__name__}")
