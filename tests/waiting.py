"""Waiting in tests: always with a deadline and a description."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.at_once import meanwhile

T = TypeVar("T")


def until(condition: Callable[[], T], description: str, *, seconds: float = 60.0) -> T:
    """Return the first true value of a condition; fail with the description if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {description}"
        time.sleep(0.005)
    return value


@contextmanager
def stalls() -> Iterator[list[float]]:
    """Yield by how many seconds a thread that only sleeps was late each time, which is what the machine adds."""
    late, stop = [0.0], threading.Event()

    def sleep() -> None:
        while not stop.is_set():
            started = time.monotonic()
            time.sleep(0.01)
            late.append(time.monotonic() - started - 0.01)

    with meanwhile(sleep, stop=stop):
        yield late
