"""Waiting in tests: always with a deadline and a description."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], description: str, *, seconds: float = 5.0) -> T:
    """Return the first true value of a condition; fail with the description if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {description}"
        time.sleep(0.005)
    return value


def wait_until(what: str, condition: Callable[[], T], *, seconds: float = 20.0) -> T:
    """Wait for something that takes its time, with the longer deadline of a whole shop."""
    return until(condition, what, seconds=seconds)
