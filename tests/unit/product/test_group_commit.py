"""Items that wait for the same products are written together, and none is answered with another's fate."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from chassis.errors import Unavailable
from product_service.store.group_commit import GroupCommit
from tests.waiting import stalls, until

CUP, PAN = ("cup",), ("pan",)


class Misconfigured(Exception):
    """Ends the transaction of an item, as too little stock does."""


class Turns:
    """Stands in for `Transactions`: those that touch the same product run one after the other."""

    def __init__(self) -> None:
        self._turns = {product_id: threading.Lock() for product_id in CUP + PAN}
        self.away: Exception | None = None

    def run(self, work: Callable[[Any], Any], *, touching: Iterable[str], until: float) -> Any:
        (product_id,) = touching
        if self.away:
            raise self.away
        with self._turns[product_id]:
            assert time.monotonic() < until + 5
            return work(None)


class Desk:
    """Writes items in groups; the item `slow` takes until the desk is `opened`, and some end their transaction."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.turns = Turns()
        self._commit = GroupCommit(self.turns, self._write)  # type: ignore[arg-type]
        self._threads = threads
        self.errors: dict[str, Exception] = {}
        self.opened = threading.Event()
        self.groups: list[list[str]] = []
        self.writers: list[tuple[str, int]] = []

    def _write(self, items: Sequence[str], _session: Any) -> list[str]:
        self.groups.append(list(items))
        self.writers += [(item, threading.get_ident()) for item in items]
        if "slow" in items:
            assert self.opened.wait(10)
        for item in items:
            if item in self.errors:
                raise self.errors[item]
        return [item.upper() for item in items]

    def commit(self, item: str, touching: tuple[str, ...] = CUP, within: float = 10) -> str:
        return self._commit.commit(item, touching=touching, until=time.monotonic() + within)

    def begin(self, *items: str) -> list[Future[str]]:
        """Commit items in threads of their own, each as soon as the one before it waits or is being written."""
        begun = []
        for number, item in enumerate(items, 1):
            begun.append(self._threads.submit(self.commit, item))
            until(lambda number=number: len(self._seen()) == number, f"{item} waits")  # type: ignore[misc]
        return begun

    def _seen(self) -> list[str]:
        waiting = [each.item for each in self._commit._groups.get(CUP, ())]
        return [item for group in self.groups for item in group] + waiting


@pytest.fixture
def desk() -> Iterator[Desk]:
    with ThreadPoolExecutor(10) as threads:
        desk = Desk(threads)
        yield desk
        desk.opened.set()


def test_what_waits_for_the_same_products_is_written_together(desk: Desk) -> None:
    begun = desk.begin("slow", "a", "b", "c")
    assert desk.commit("other", PAN) == "OTHER", "it waits for no product but its own"
    desk.opened.set()
    assert [each.result(10) for each in begun] == ["SLOW", "A", "B", "C"]
    assert desk.groups == [["slow"], ["other"], ["a", "b", "c"]]


@pytest.mark.parametrize("error", [Misconfigured(), AutoReconnect("gone")], ids=["refused", "an outage"])
def test_one_that_cannot_be_written_takes_no_other_with_it(desk: Desk, error: Exception) -> None:
    desk.errors["bad"] = error
    _, a, bad, c = desk.begin("slow", "a", "bad", "c")
    desk.opened.set()
    assert (a.result(10), c.result(10)) == ("A", "C")
    assert bad.exception(10) is error
    assert desk.groups[:2] == [["slow"], ["a", "bad", "c"]]
    assert sorted(desk.groups[2:]) == [["a"], ["bad"], ["c"]]


def test_each_of_a_group_that_failed_goes_on_in_its_own_thread(desk: Desk) -> None:
    """The one that leads is not kept from its answer by the others."""
    desk.errors["bad"] = Misconfigured()
    slow, leader, bad, stuck = desk.begin("slow", "leader", "bad", "stuck")
    desk.opened.set()
    for each in (slow, leader, stuck):
        each.result(10)
    assert isinstance(bad.exception(10), Misconfigured)
    threads = dict(desk.writers)
    assert len({threads[item] for item in ("leader", "bad", "stuck")}) == 3


def test_who_joins_and_waits_too_long_is_told_so_in_time(desk: Desk) -> None:
    desk.begin("slow", "a")
    started = time.monotonic()
    with stalls() as late, pytest.raises(Unavailable):
        desk.commit("b", within=0.05)
    assert time.monotonic() - started < 0.5 + max(late)


@pytest.mark.parametrize(
    "error", [Misconfigured(), AutoReconnect("gone"), SystemExit()], ids=lambda error: type(error).__name__
)
def test_after_a_failure_the_next_one_leads(desk: Desk, error: Exception) -> None:
    """Whether the items failed, or nothing was written at all."""
    desk.errors["bad"] = error
    for _ in range(2):
        with pytest.raises(type(error)):
            desk.commit("bad")
    desk.turns.away = error
    with pytest.raises(type(error)):
        desk.commit("good")
    desk.turns.away = None
    assert desk.commit("good") == "GOOD"
