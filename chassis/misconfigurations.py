"""Misconfigurations: a neighbour answers, but a right is missing or a setting is wrong. An outage is no refusal.

Repeating does not help until somebody corrects it. The program logs a refusal once, at error level, and is unhealthy
until it is granted (see `chassis.heartbeat` and `chassis.web.health`).
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.errors import Misconfigured

log = logging.getLogger(__name__)


class Misconfigurations:
    """The misconfigurations of now: names, each with the reason and what to do. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    def add(self, what: str, reason: str) -> None:
        """Note a refusal; it is logged unless it was known already."""
        with self._lock:
            is_new = self._reasons.get(what) != reason
            self._reasons[what] = reason
        if is_new:
            log.error("refused: %s: %s", what, reason)

    def remove(self, what: str) -> None:
        """Note that something is no longer refused."""
        if self._reasons and self._reasons.pop(what, None) is not None:
            log.info("no longer refused: %s", what)

    @contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """Note whether the block is refused what it needs; its exceptions pass through.

        An outage afterwards grants nothing: a client that was refused may well see the server as away for a while.
        """
        try:
            yield
        except Misconfigured as exc:
            self.add(what, exc.detail)
            raise
        self.remove(what)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._reasons))

    def __len__(self) -> int:
        return len(self._reasons)
