"""Group commit: items that wait for the same products are written together; each gets the outcome of its own write."""

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


class OutOfStock(Exception):
    """Ends the transaction of an item."""


class FakeTransactions:
    """Stands in for `Transactions`: those with the same product run one after the other."""

    def __init__(self) -> None:
        self._locks = {product_id: threading.Lock() for product_id in CUP + PAN}
        self.outage: BaseException | None = None
        self.deadlines: list[float] = []

    def run(self, work: Callable[[Any], Any], *, product_ids: Iterable[str], deadline: float) -> Any:
        self.deadlines.append(deadline)
        (product_id,) = product_ids
        if self.outage:
            raise self.outage
        with self._locks[product_id]:
            return work(None)


class Desk:
    """Writes items in groups. The item `slow` takes until the desk is `opened`; the items in `errors` fail."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.transactions = FakeTransactions()
        self._group_commit = GroupCommit(self.transactions, self._write)  # type: ignore[arg-type]
        self._threads = threads
        self.errors: dict[str, BaseException] = {}
        self.opened = threading.Event()
        self.groups: list[list[str]] = []
        self.writers: list[tuple[str, int]] = []

    def _write(self, items: Sequence[str], _session: Any) -> None:
        self.groups.append(list(items))
        self.writers += [(item, threading.get_ident()) for item in items]
        if "slow" in items:
            assert self.opened.wait(10)
        for item in items:
            if item in self.errors:
                raise self.errors[item]

    def commit(self, item: str, product_ids: tuple[str, ...] = CUP, within: float = 10) -> None:
        self._group_commit.commit(item, product_ids=product_ids, deadline=time.monotonic() + within)

    def begin(self, *items: str) -> list[Future[None]]:
        """Commit items in threads of their own, each as soon as the one before it waits or is being written."""
        begun = []
        for number, item in enumerate(items, 1):
            begun.append(self._threads.submit(self.commit, item))
            until(lambda number=number: len(self._seen()) == number, f"{item} waits")  # type: ignore[misc]
        return begun

    def _seen(self) -> list[str]:
        group = self._group_commit._open_groups.get(CUP)
        return [item for items in self.groups for item in items] + (group.items if group else [])


@pytest.fixture
def desk() -> Iterator[Desk]:
    with ThreadPoolExecutor(10) as threads:
        desk = Desk(threads)
        yield desk
        desk.opened.set()


def test_items_that_wait_for_the_same_products_are_written_together(desk: Desk) -> None:
    begun = desk.begin("slow", "a", "b", "c")
    desk.commit("other", PAN)  # waits for no product but its own
    desk.opened.set()
    assert [each.exception(10) for each in begun] == [None] * 4
    assert desk.groups == [["slow"], ["other"], ["a", "b", "c"]]


@pytest.mark.parametrize("error", [OutOfStock(), AutoReconnect("gone")], ids=["refused", "an outage"])
def test_an_item_that_cannot_be_written_does_not_fail_the_others(desk: Desk, error: Exception) -> None:
    desk.errors["bad"] = error
    _, a, bad, c = desk.begin("slow", "a", "bad", "c")
    desk.opened.set()
    assert (a.exception(10), bad.exception(10), c.exception(10)) == (None, error, None)
    assert desk.groups[:2] == [["slow"], ["a", "bad", "c"]]
    assert sorted(desk.groups[2:]) == [["a"], ["bad"], ["c"]]


def test_the_error_of_an_item_is_its_own_and_not_caused_by_that_of_its_group(desk: Desk) -> None:
    desk.errors = {"a": OutOfStock(), "b": OutOfStock()}
    _, a, b = desk.begin("slow", "a", "b")
    desk.opened.set()
    assert (a.exception(10), b.exception(10)) == (desk.errors["a"], desk.errors["b"])
    assert [error.__context__ for error in desk.errors.values()] == [None, None]


def test_after_its_group_failed_each_item_is_written_by_its_own_thread(desk: Desk) -> None:
    """The leader does not wait for the others."""
    desk.errors["bad"] = OutOfStock()
    slow, leader, bad, follower = desk.begin("slow", "leader", "bad", "follower")
    desk.opened.set()
    for each in (slow, leader, follower):
        each.result(10)
    assert isinstance(bad.exception(10), OutOfStock)
    threads = dict(desk.writers)
    assert len({threads[item] for item in ("leader", "bad", "follower")}) == 3


def test_a_follower_that_waits_too_long_is_unavailable_at_its_deadline(desk: Desk) -> None:
    desk.begin("slow", "a")
    started = time.monotonic()
    with stalls() as late, pytest.raises(Unavailable):
        desk.commit("b", within=0.05)
    assert time.monotonic() - started < 0.5 + max(late)


def test_every_transaction_of_an_item_gets_the_deadline_of_that_item(desk: Desk) -> None:
    """Those of the leader and, after its group failed, those that each item has alone."""
    desk.errors["bad"] = OutOfStock()
    slow, bad, last = desk.begin("slow", "bad", "last")
    desk.opened.set()
    assert [each.exception(10) for each in (slow, bad, last)] == [None, desk.errors["bad"], None]
    slow_deadline, bad_deadline, *alone = desk.transactions.deadlines
    assert slow_deadline < bad_deadline
    assert len(alone) == 2
    assert min(alone) == bad_deadline < max(alone)


@pytest.mark.parametrize(
    "error", [OutOfStock(), AutoReconnect("gone"), SystemExit()], ids=lambda error: type(error).__name__
)
def test_after_a_failure_the_next_item_leads_a_group(desk: Desk, error: BaseException) -> None:
    """After a failure of the items, and after one in which nothing was written."""
    desk.errors["bad"] = error
    for _ in range(2):
        with pytest.raises(type(error)):
            desk.commit("bad")
    desk.transactions.outage = error
    with pytest.raises(type(error)):
        desk.commit("good")
    desk.transactions.outage = None
    desk.commit("good")
    assert desk.groups[-1] == ["good"]
