"""Stopping a program that is no web service: politely at SIGTERM or SIGINT, for certain soon after."""

import logging
import os
import signal
import threading
import time

log = logging.getLogger(__name__)


def stop_on_signals(stop: threading.Event, *, within: float) -> None:
    """Set `stop` at SIGTERM or SIGINT; if the process is then not gone in time (s), because something hangs, end it."""

    def end() -> None:
        stop.set()
        time.sleep(within)
        log.error("giving up on a clean stop")
        os._exit(1)

    def on_signal(*_: object) -> None:
        threading.Thread(target=end, daemon=True).start()  # the main thread may hold the lock that `set` needs

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
