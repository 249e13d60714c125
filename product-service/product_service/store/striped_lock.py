"""A striped lock: a fixed number of locks; the hash of a key selects its lock."""

import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager


class StripedLock:
    """Locks keys within this process, without a lock for each key. Two keys may share a stripe.

    It only prevents conflicts that the database would refuse anyway. So a caller may go on without a lock that is not
    free in time, and `hash` may differ between processes.
    """

    def __init__(self, stripes: int = 64) -> None:
        self._locks = [threading.Lock() for _ in range(stripes)]

    @contextmanager
    def hold(self, keys: Iterable[Hashable], deadline: float) -> Iterator[None]:
        """Hold the locks of these keys; skip a lock that is not free by the deadline (monotonic).

        Locks are acquired in ascending order, so that two holders cannot block each other (no deadlock).
        """
        stripes = sorted({hash(key) % len(self._locks) for key in keys})
        with ExitStack() as held:
            for lock in (self._locks[stripe] for stripe in stripes):
                if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                    held.callback(lock.release)
            yield
