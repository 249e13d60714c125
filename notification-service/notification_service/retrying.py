"""Retry with backoff."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from chassis.errors import Unavailable
from chassis.heartbeat import Heartbeat

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


def backoff(max_delay: float = 5.0) -> Iterator[float]:
    """Yield the delays (s) between attempts: they double up to `max_delay`."""
    delay = 0.1
    while True:
        yield min(delay, max_delay)
        delay *= 2


class RetryWhileUnavailable:
    """Repeats a step while the database is away, until the step succeeds or `stop` is set. Safe for several threads.

    Waiting is not hanging: each attempt kicks the watchdog. A refusal by the database is noted as a misconfiguration.
    """

    def __init__(self, stop: threading.Event, heartbeat: Heartbeat | None = None, *, max_delay: float = 5.0) -> None:
        self._stop = stop
        self._heartbeat = heartbeat or Heartbeat()
        self._max_delay = max_delay

    @property
    def is_stopped(self) -> bool:
        """Return whether `stop` is set."""
        return self._stop.is_set()

    def __call__(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of `step`. Raises Unavailable if `stop` is set while the database is away."""
        delays = backoff(self._max_delay)
        while True:
            try:
                with self._heartbeat.misconfigurations.watch("the database"):
                    return step(*args, **kwargs)
            except Unavailable as exc:
                log.warning("waiting for the database: %s", exc.detail)
                self._heartbeat.kick_watchdog()
                if self._stop.wait(next(delays)):
                    raise
