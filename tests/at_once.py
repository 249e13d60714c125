"""Races: threads that start at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")


def at_once(times: int, work: Callable[[int], T]) -> list[T]:
    """Run `work` in so many threads that start together, and return what each of them returned."""
    barrier = Barrier(times)

    def run(number: int) -> T:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))
