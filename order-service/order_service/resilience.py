"""Parts for calling a slow or failing neighbour: deadline, retries with backoff, bulkhead, circuit breaker.

Each part knows nothing of HTTP, and several threads may use it at once. `clock` is the module `time`, or a test's own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from chassis.telemetry.metrics import Pool

T = TypeVar("T")


class Deadline:
    """The moment by which a call must end; everything that the call does shares it."""

    def __init__(self, seconds: float, clock: Any = time) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return how many seconds are left."""
        return float(self._end - self._clock.monotonic())


class AttemptFailed(Exception):
    """One attempt of a call failed. It is safe to repeat."""


@dataclass
class Retries:
    """The retry of a failed attempt, with exponential backoff, while the deadline leaves time for another attempt.

    Retries bridge a restart. When attempts have failed for longer than `patience` seconds without a success between
    them, each call gets one attempt only, so that callers learn of an outage soon.
    """

    patience: float
    min_attempt: float
    backoff: tuple[float, float]  # the first delay, and the longest
    clock: Any = time
    _failing_since: float | None = None

    def run(self, attempt: Callable[[], T], deadline: Deadline) -> T:
        """Return the result of the first attempt that succeeds. Raises the last AttemptFailed."""
        delay, longest = self.backoff
        while True:
            started = self.clock.monotonic()
            try:
                result = attempt()
            except AttemptFailed:
                self._failing_since = self._failing_since or started
                is_outage = started - self._failing_since >= self.patience
                if is_outage or deadline.remaining() <= delay + self.min_attempt:
                    raise
            else:
                self._failing_since = None
                return result
            self.clock.sleep(delay)
            delay = min(2 * delay, longest)


class BulkheadFull(Exception):
    """All places of a bulkhead stayed taken."""


class Bulkhead:
    """Lets at most `max_concurrent` threads in, so that the others stay free for work that needs no neighbour.

    With a `name` it is shown as a pool among the metrics.
    """

    def __init__(self, max_concurrent: int, name: str = "") -> None:
        self._places = threading.BoundedSemaphore(max_concurrent)
        self._shown = Pool(name, max_concurrent) if name else None

    @contextmanager
    def enter(self, *, wait: float) -> Iterator[None]:
        """Hold a place during the block; wait for it at most `wait` seconds. Raises BulkheadFull."""
        if not self._places.acquire(timeout=wait):
            raise BulkheadFull
        if self._shown:
            self._shown.take()
        try:
            yield
        finally:
            self._places.release()
            if self._shown:
                self._shown.free()


@dataclass
class CircuitBreaker:
    """Is open while a neighbour hangs. While it is open, no thread should wait for a place in the bulkhead.

    The calls in the bulkhead go on. They are the probes of a half-open circuit: one good answer closes it.
    A bad call opens it only if no other call got a good answer in the meantime. Otherwise the neighbour is fine and
    this call alone is slow, for example because everybody orders the same product.
    """

    slow_call: float
    clock: Any = time
    on_change: Callable[[bool], object] = bool  # gets `is_open` whenever that changes
    is_open: bool = False
    _last_success: float = float("-inf")

    def __post_init__(self) -> None:
        self._changing = threading.Lock()

    def record_answer(self, started: float) -> None:
        """Record a good answer to a call that began at `started`; a slow one counts as a failure."""
        now = self.clock.monotonic()
        if now - started > self.slow_call:
            self.record_failure(started)
        else:
            self._last_success = now
            self._become(is_open=False)

    def record_failure(self, started: float) -> None:
        """Record a bad answer, or none, to a call that began at `started`."""
        if self._last_success < started:
            self._become(is_open=True)

    def record_broken_connection(self) -> None:
        """Record that the connection was refused or reset. No thread waits for that, so the circuit closes."""
        self._become(is_open=False)

    def _become(self, *, is_open: bool) -> None:
        if self.is_open is is_open:
            return
        with self._changing:
            self.is_open = is_open
            self.on_change(is_open)
