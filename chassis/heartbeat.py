"""The heartbeat of a program that is no web service: shows that it works, and ends it when it hangs."""

import faulthandler
import time
from pathlib import Path

from chassis.misconfigurations import Misconfigurations

INTERVAL = 1.0
WATCHDOG_TIMEOUT = 300.0  # far longer than a round takes; who is ended in one that is this slow goes on where it was


class Heartbeat:
    """Beats about every second, however often it is called.

    A program that is silent for `end_after` seconds waits for something that no time limit covers, as for a confirm
    that a broker owes while it answers otherwise. It then writes to stderr where each of its threads is and exits with
    status 1, for whatever started it to start it again.

    While there are `misconfigurations`, the heart stops; the program goes on.
    """

    def __init__(self, path: str = "", *, end_after: float | None = None) -> None:
        self.misconfigurations = Misconfigurations()
        self._path = path
        self._end_after = end_after
        self._next_sign = self._next_beat = 0.0

    def kick_watchdog(self) -> None:
        """Tell that the program does not hang, though what it needs may be away."""
        if self._end_after and time.monotonic() >= self._next_sign:
            faulthandler.dump_traceback_later(self._end_after, exit=True)
            self._next_sign = time.monotonic() + INTERVAL

    def mark_healthy(self) -> None:
        """Tell that the program works: touch the file at `path`, if there is one, for a health check to look at."""
        self.kick_watchdog()
        if self._path and not self.misconfigurations and time.monotonic() >= self._next_beat:
            Path(self._path).touch()
            self._next_beat = time.monotonic() + INTERVAL
