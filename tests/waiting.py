"""Waiting in tests: always with a deadline and a description."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], description: str, *, seconds: float = 5.0) -> None:
    """Return as soon as the condition holds; fail with the description if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {description}"
        time.sleep(0.005)
