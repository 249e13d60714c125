"""The heartbeat of a background program shows that it works; the watchdog ends it when it hangs."""

import faulthandler
import time
from pathlib import Path

from chassis.misconfigurations import Misconfigurations
from chassis.telemetry import metrics

LAST_BEAT = metrics.gauge("shop_heartbeat_timestamp_seconds", "When the program last showed that it works.")

MAX_AGE = 15.0  # s; an older heartbeat means that the program does not work
INTERVAL = 1.0  # s between two signs of life, however often the program gives them
WATCHDOG_TIMEOUT = 300.0  # s; far longer than a round takes. A program that was ended resumes its work at its restart.


class Heartbeat:
    """A heartbeat file and a watchdog.

    If nothing kicks it for `end_after` seconds, the watchdog writes the stack of each thread to stderr and exits with
    status 1. The supervisor then restarts the program. Some waits have no other timeout, for example the wait for a
    publisher confirm. While there are `misconfigurations`, there is no heartbeat.
    """

    def __init__(self, path: str = "", *, end_after: float | None = None) -> None:
        self.misconfigurations = Misconfigurations()
        self._path = path
        self._end_after = end_after
        self._next_kick = self._next_beat = 0.0
        self._last_beat = float("-inf")

    def kick_watchdog(self) -> None:
        """Show that the program does not hang, though a server that it needs may be away."""
        if self._end_after and time.monotonic() >= self._next_kick:
            faulthandler.dump_traceback_later(self._end_after, exit=True)
            self._next_kick = time.monotonic() + INTERVAL

    def mark_healthy(self) -> None:
        """Show that the program works: touch the file that the health check reads, and set the metric."""
        self.kick_watchdog()
        if self.misconfigurations or time.monotonic() < self._next_beat:
            return
        if self._path:
            Path(self._path).touch()
        LAST_BEAT.set_to_current_time()
        self._last_beat = time.monotonic()
        self._next_beat = self._last_beat + INTERVAL

    def is_beating(self) -> bool:
        """Return whether the program has shown within the last seconds that it works."""
        return time.monotonic() - self._last_beat < MAX_AGE
