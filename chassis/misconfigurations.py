"""Misconfigurations: a server answers and refuses, because a right is missing or a setting is wrong.

A retry does not help until somebody corrects the configuration. The program logs the misconfiguration once, as an
error, and reports itself as unhealthy until then (`chassis.heartbeat`, `chassis.web.health`).
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.errors import Misconfigured
from chassis.telemetry import metrics

# All processes of a web service are refused by the same servers, though not all may have noticed: the largest counts.
PRESENT = metrics.gauge("shop_misconfigurations", "How many servers refuse this program now.", combine=metrics.LARGEST)

log = logging.getLogger(__name__)


class Misconfigurations:
    """The present misconfigurations by name, each with its reason. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Add a misconfiguration, and log it if it is new."""
        with self._lock:
            is_new = self._reasons.get(name) != reason
            self._reasons[name] = reason
            PRESENT.set(len(self._reasons))
        if is_new:
            log.error("misconfigured: %s: %s", name, reason)

    def remove(self, name: str) -> None:
        """Remove a misconfiguration, if there is one of this name."""
        if name not in self._reasons:
            return
        with self._lock:
            was_there = self._reasons.pop(name, None) is not None
            PRESENT.set(len(self._reasons))
        if was_there:
            log.info("no longer misconfigured: %s", name)

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """Add a misconfiguration if the block raises Misconfigured, remove it if the block succeeds.

        An outage removes nothing: after a refusal, a server may look unreachable for a while.
        """
        try:
            yield
        except Misconfigured as exc:
            self.add(name, exc.detail)
            raise
        self.remove(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._reasons))

    def __len__(self) -> int:
        return len(self._reasons)
