"""The striped lock: holders of the same keys run one after the other, and never block each other."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from product_service.store.striped_lock import StripedLock
from tests.waiting import until

LOW, HIGH = 1, 2  # the hash of a small integer is the integer, and so its stripe


def soon() -> float:
    return time.monotonic() + 10


@contextmanager
def held_elsewhere(lock: StripedLock, *keys: int) -> Iterator[None]:
    """Hold keys in another thread."""
    holding, released = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.hold(keys, soon()):
            holding.set()
            released.wait(10)

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(hold)
        assert holding.wait(10)
        try:
            yield
        finally:
            released.set()
            held.result(10)


def is_free(lock: StripedLock, key: int) -> bool:
    stripe = lock._locks[key]
    return stripe.acquire(blocking=False) and (stripe.release() or True)


class RecordingLock:
    """A lock that is always free, and records when it is acquired."""

    def __init__(self, stripe: int, acquired: list[int]) -> None:
        self._stripe, self._acquired = stripe, acquired

    def acquire(self, timeout: float) -> bool:
        self._acquired.append(self._stripe)
        return timeout > 0

    def release(self) -> None:
        pass


@pytest.mark.parametrize("keys", [(LOW, HIGH), (HIGH, LOW), (HIGH, LOW, HIGH)])
def test_locks_are_acquired_in_ascending_order_whatever_the_order_of_the_keys(keys: tuple[int, ...]) -> None:
    """So no two holders can each have what the other waits for."""
    acquired: list[int] = []
    lock = StripedLock()
    lock._locks = [RecordingLock(stripe, acquired) for stripe in range(64)]  # type: ignore[misc]
    with lock.hold(keys, soon()):
        assert acquired == [LOW, HIGH]


def test_a_lock_that_is_not_free_at_the_deadline_is_skipped_and_not_released() -> None:
    lock = StripedLock()
    with held_elsewhere(lock, LOW):
        with lock.hold([LOW, HIGH], time.monotonic()):
            assert not is_free(lock, HIGH)
        assert (is_free(lock, LOW), is_free(lock, HIGH)) == (False, True)
    until(lambda: is_free(lock, LOW), "the holder releases it")


def test_two_keys_of_one_stripe_are_locked_once() -> None:
    lock = StripedLock(stripes=1)
    started = time.monotonic()
    with lock.hold(["cup", "pan"], soon()):
        assert time.monotonic() < started + 5
    assert is_free(lock, 0)


def test_an_error_of_the_holder_releases_its_locks() -> None:
    lock = StripedLock()
    with pytest.raises(ZeroDivisionError), lock.hold([LOW, HIGH], soon()):
        raise ZeroDivisionError
    assert is_free(lock, LOW)
    assert is_free(lock, HIGH)
