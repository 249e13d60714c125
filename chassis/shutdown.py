"""Graceful shutdown of a background program at SIGTERM or SIGINT, with a deadline."""

import logging
import os
import signal
import threading
import time

log = logging.getLogger(__name__)


def stop_on_signals(stop: threading.Event, *, within: float) -> None:
    """Set `stop` at SIGTERM or SIGINT. End the process if it still runs `within` seconds later."""

    def end() -> None:
        stop.set()
        time.sleep(within)
        log.error("graceful shutdown exceeded its deadline of %g s: ending the process", within)
        os._exit(1)

    def on_signal(*_: object) -> None:
        threading.Thread(target=end, daemon=True).start()  # the main thread may hold the lock that `set` needs

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
