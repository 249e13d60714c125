"""The limits of calls to the payment provider: a timeout for each, and a share of the threads for all."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from chassis.telemetry import tracing
from chassis.telemetry.metrics import Pool
from chassis.telemetry.tracing import CLIENT
from order_service.payment.provider import ProviderUnavailable

P = ParamSpec("P")
T = TypeVar("T")

CALL_TIMEOUT = 3.5  # s; with two writes of our own a payment is answered within 5 s
PLACE_WAIT = 0.5  # s; a buyer who finds no place repeats the request
ABANDONED_AFTER = 60.0  # s; a call that takes longer never ends, and its place is needed

log = logging.getLogger(__name__)


class CallLimiter:
    """A bulkhead whose calls run in threads of their own, so that a caller can give up.

    Timeouts of a connection alone do not suffice: a server that sends a byte now and then never runs into them. A call
    that was given up keeps its place until it ends, so that a hanging provider gets few threads.

    With a `name` it is shown as a pool among the metrics.
    """

    def __init__(
        self, max_concurrent: int, *, name: str = "", timeout: float = CALL_TIMEOUT, clock: Any = time
    ) -> None:
        self._max_concurrent = max_concurrent
        self._timeout = timeout
        self._clock = clock
        self._changed = threading.Condition()
        self._places: set[Place] = set()
        self._shown = Pool(name, max_concurrent) if name else None

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Hold a place during the block, and until its last call ends. Raises ProviderUnavailable if all are taken."""
        place = Place(self._timeout, self._clock, self._remove)
        with self._changed:
            if not self._changed.wait_for(self._has_room, PLACE_WAIT):
                raise ProviderUnavailable("Too many payments are waiting for the payment provider.")
            self._places.add(place)
            self._show()
        try:
            yield place
        finally:
            place.leave()

    def _has_room(self) -> bool:
        """Return whether a place is free; the place of a call that never ends is given to others."""
        for place in [place for place in self._places if place.is_abandoned()]:
            log.error("a call to the payment provider did not end within %d s: it is abandoned", ABANDONED_AFTER)
            self._places.discard(place)
        return len(self._places) < self._max_concurrent

    def _remove(self, place: "Place") -> None:
        with self._changed:
            self._places.discard(place)
            self._show()
            self._changed.notify()

    def _show(self) -> None:
        if self._shown:
            self._shown.show(len(self._places))


class Place:
    """A place among the calls. It is free again when its block has ended and none of its calls runs any more."""

    def __init__(self, timeout: float, clock: Any, on_free: Callable[["Place"], None]) -> None:
        self._timeout = timeout
        self._clock = clock
        self._on_free = on_free
        self._lock = threading.Lock()
        self._holders = 1  # the block, and each running call
        self._given_up_at: float | None = None

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns. Raises ProviderUnavailable after the timeout; the call itself goes on."""
        future: Future[T] = Future()
        with tracing.span(f"{getattr(function, '__name__', 'call')} payment", CLIENT):
            self._start(partial(copy_context().run, function, *args, **kwargs), future)
            try:
                return future.result(self._timeout)
            except TimeoutError as exc:
                self._given_up_at = self._clock.monotonic()
                raise ProviderUnavailable("The payment provider does not answer in time.") from exc

    def leave(self) -> None:
        """Note that the block, or a call, has ended."""
        with self._lock:
            self._holders -= 1
            is_free = not self._holders
        if is_free:
            self._on_free(self)

    def is_abandoned(self) -> bool:
        """Return whether a call of this place was given up long ago and still runs."""
        given_up_at = self._given_up_at
        return given_up_at is not None and self._clock.monotonic() - given_up_at > ABANDONED_AFTER

    def _start(self, work: Callable[[], T], future: "Future[T]") -> None:
        """Run the work in a daemon thread: a process that stops must not wait for a hanging provider."""
        with self._lock:
            self._holders += 1
        try:
            threading.Thread(target=self._run, args=(work, future), name="payment", daemon=True).start()
        except RuntimeError as exc:  # the system has no thread left
            self.leave()
            raise ProviderUnavailable("This service is too busy to call the payment provider.") from exc

    def _run(self, work: Callable[[], T], future: "Future[T]") -> None:
        try:
            future.set_result(work())
        except BaseException as exc:
            future.set_exception(exc)
        finally:
            self.leave()
