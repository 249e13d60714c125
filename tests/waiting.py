"""Waiting in tests: always with a deadline and a description."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], description: str, *, seconds: float = 20.0) -> T:
    """Return the first true value of a condition; fail with the description if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {description}"
        time.sleep(0.005)
    return value
