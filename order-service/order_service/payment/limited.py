"""A payment provider with limits: no call takes longer than a timeout, and all calls take a share of the threads."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from order_service.payment.provider import CaptureResult, Charge, LedgerEntry, PaymentProvider, ProviderUnavailable

P = ParamSpec("P")
T = TypeVar("T")

CALL_TIMEOUT = 3.5  # s; with two writes of our own a payment is answered within 5 s
BULKHEAD_WAIT = 0.2  # s; while all places are taken


class LimitedProvider:
    """Calls a provider in threads of its own: a bulkhead whose callers can give up.

    Timeouts of a connection alone do not suffice: a server that sends a byte now and then never runs into them. A call
    that was given up keeps its place until it ends, so that a hanging provider never gets more threads.
    """

    def __init__(self, provider: PaymentProvider, *, max_concurrent: int, timeout: float = CALL_TIMEOUT) -> None:
        self.name = provider.name
        self._provider = provider
        self._timeout = timeout
        self._places = threading.BoundedSemaphore(max_concurrent)

    def check_method(self, method: str) -> None:
        """Return if the method may exist. Raises Invalid."""
        self._provider.check_method(method)

    def capture(self, charge: Charge, save_reference: Callable[[str], None]) -> CaptureResult:
        """Take the money. Raises ProviderUnavailable, AttemptEnded."""
        return self._call(self._provider.capture, charge, save_reference)

    def look_up(self, charge: Charge) -> CaptureResult:
        """Return what became of a charge. Raises ProviderUnavailable."""
        return self._call(self._provider.look_up, charge)

    def refund(self, charge: Charge) -> None:
        """Give the money back. Raises ProviderUnavailable."""
        self._call(self._provider.refund, charge)

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield all captured charges, without a limit of time."""
        return self._provider.ledger()

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._places.acquire(timeout=BULKHEAD_WAIT):
            raise ProviderUnavailable("Too many payments are waiting for the payment provider.")
        call = partial(copy_context().run, function, *args, **kwargs)  # with the request's id, for the log
        future: Future[T] = Future()
        # A daemon: a process that stops must not wait for a hanging provider. The worker settles what it leaves.
        threading.Thread(target=self._run, args=(call, future), name="payment", daemon=True).start()
        try:
            return future.result(self._timeout)
        except TimeoutError as exc:
            raise ProviderUnavailable("The payment provider does not answer in time.") from exc

    def _run(self, call: Callable[[], T], future: "Future[T]") -> None:
        try:
            future.set_result(call())
        except BaseException as exc:
            future.set_exception(exc)
        finally:
            self._places.release()
