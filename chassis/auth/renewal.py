"""A cache of one value that a server issues for a limited time, such as a token or a set of keys."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from chassis.errors import Unavailable

T = TypeVar("T")
Clock = Callable[[], float]

BACKGROUND_PAUSE = 10.0  # s between two attempts in the background, so that they do not flood a server that is away

log = logging.getLogger(__name__)


class RenewedValue(Generic[T]):
    """A cached value. It is renewed in the background before it expires, and so survives an outage of the server.

    `fetch` returns a new value and its lifetime (s). `renew_at` is the fraction of the lifetime after which the
    background renewal starts.
    """

    def __init__(self, initial: T, fetch: Callable[[], tuple[T, float]], *, renew_at: float, clock: Clock) -> None:
        self.value = initial
        self._fetch = fetch
        self._renew_fraction = renew_at
        self._clock = clock
        self._fetching = threading.Lock()
        self._renew_at = self._expires_at = self._tried_at = float("-inf")

    def is_expired(self) -> bool:
        """Return whether the lifetime of the value is over."""
        return self._clock() >= self._expires_at

    def expire(self) -> None:
        """Let the value expire now."""
        self._expires_at = float("-inf")

    def renew(self) -> None:
        """Fetch a new value. Raises Unavailable."""
        requested_at = self._clock()
        self.value, lifetime = self._fetch()
        self._renew_at, self._expires_at = requested_at + self._renew_fraction * lifetime, requested_at + lifetime

    def renew_unless_tried_within(self, pause: float) -> None:
        """Renew the value now, unless the last attempt is more recent than `pause` seconds.

        One thread at a time makes an attempt, and only this thread raises Unavailable. Threads that waited for it make
        no attempt.
        """
        if not self._was_tried_within(pause):
            with self._fetching:
                self._attempt(pause)

    def renew_if_expired(self, pause: float) -> None:
        """Wait for an attempt of another thread or the background. Then do the same if the value is still expired."""
        with self._fetching:
            if self.is_expired():
                self._attempt(pause)

    def renew_early(self, name: str) -> None:
        """Renew the value in the background if that is due, and no other thread renews it."""
        is_due = self._clock() >= self._renew_at and not self._was_tried_within(BACKGROUND_PAUSE)
        if is_due and self._fetching.acquire(blocking=False):
            self._tried_at = self._clock()
            try:
                threading.Thread(target=self._renew_in_background, args=[name], daemon=True).start()
            except RuntimeError:  # the system starts no more threads
                self._fetching.release()
                raise

    def _was_tried_within(self, pause: float) -> bool:
        return self._clock() - self._tried_at < pause

    def _attempt(self, pause: float) -> None:
        if not self._was_tried_within(pause):
            try:
                self.renew()
            finally:
                self._tried_at = self._clock()

    def _renew_in_background(self, name: str) -> None:
        try:
            self.renew()
        except Unavailable as exc:
            log.warning("%s not renewed, the cached value stays in use: %s", name, exc.detail)
        finally:
            self._fetching.release()
