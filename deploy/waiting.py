"""Waiting for a server that is still starting."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def retry(step: Callable[[], T], errors: tuple[type[Exception], ...], *, deadline: float, what: str) -> T:
    """Repeat `step` while it raises one of `errors`, then return its result. Exit with `what` after `deadline` s."""
    end = time.monotonic() + deadline
    while True:
        try:
            return step()
        except errors as exc:
            if time.monotonic() > end:
                raise SystemExit(f"{what} after {deadline:g} s: {exc!r}"[:400]) from exc
            time.sleep(0.2)
