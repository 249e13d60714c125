"""Races: threads that start at the same moment, and threads that work beside a test. None outlives its test unseen."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event, Thread
from typing import TypeVar

T = TypeVar("T")


def at_once(times: int, work: Callable[[int], T]) -> list[T]:
    """Run `work` in so many threads that start together, and return what each of them returned."""
    barrier = Barrier(times)

    def run(number: int) -> T:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@contextmanager
def meanwhile(
    work: Callable[[], object], *, threads: int = 1, stop: Event | None = None, seconds: float = 30.0
) -> Iterator[list[Thread]]:
    """Run `work` in so many threads meanwhile. At the end of the block `stop` is set, and they must end in time."""
    started = [Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield started
    finally:
        if stop:
            stop.set()
        for thread in started:
            thread.join(seconds)
    assert not any(thread.is_alive() for thread in started), f"a thread did not end within {seconds:g} s"
