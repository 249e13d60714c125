"""Events are published over several connections at a time, those of one order over the same one."""

from collections.abc import Iterable
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from order_service.publisher import BrokerRefuses, BrokerUnavailable, Lanes


class FakePublisher:
    """Keeps what it is given; `before` is called first."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bound: list[list[str]] = []
        self.kept_alive = self.is_closed = False
        self.before = lambda: None

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        self.before()
        self.ids.extend(event["id"] for event in events)

    def bind(self, types: Iterable[str]) -> None:
        self.bound.append(list(types))

    def check(self) -> None:
        self.before()

    def keep_alive(self) -> None:
        self.kept_alive = True

    def close(self) -> None:
        self.is_closed = True


def event(order: int, kind: str = "order_created") -> dict[str, Any]:
    return {"id": f"{order}.{kind}", "type": kind, "subject": str(order)}


@pytest.fixture
def publishers() -> list[FakePublisher]:
    return [FakePublisher() for _ in range(4)]


@pytest.fixture
def lanes(publishers: list[FakePublisher]) -> Lanes:
    return Lanes(publishers)  # type: ignore[arg-type]


def test_every_event_is_published_once_and_those_of_an_order_in_their_order(
    publishers: list[FakePublisher], lanes: Lanes
) -> None:
    kinds = ("order_created", "order_shipped", "order_delivered")
    lanes.publish(event(order, kind) for kind in kinds for order in range(40))
    assert sorted(i for one in publishers for i in one.ids) == sorted(f"{o}.{k}" for k in kinds for o in range(40))
    for order in range(40):
        (its_ids,) = [found for one in publishers if (found := [i for i in one.ids if i.startswith(f"{order}.")])]
        assert its_ids == [f"{order}.{kind}" for kind in kinds]


def test_the_lanes_publish_at_the_same_time(publishers: list[FakePublisher], lanes: Lanes) -> None:
    together = Barrier(4)
    for one in publishers:
        one.before = lambda: together.wait(5) and None
    lanes.publish(event(order) for order in range(40))


def test_a_single_event_needs_a_single_connection(publishers: list[FakePublisher], lanes: Lanes) -> None:
    lanes.publish([event(1)])
    assert sum(bool(one.ids) for one in publishers) == 1


def test_a_lane_that_fails_fails_the_whole_after_the_others_have_ended(
    publishers: list[FakePublisher], lanes: Lanes
) -> None:
    def fail() -> None:
        raise BrokerUnavailable("gone")

    publishers[0].before = fail
    with pytest.raises(BrokerUnavailable, match="gone"):
        lanes.publish(event(order) for order in range(40))
    assert all(one.ids for one in publishers[1:])


def test_types_are_bound_once_for_all_lanes_before_anything_is_published(
    publishers: list[FakePublisher], lanes: Lanes
) -> None:
    known: list[bool] = []
    for one in publishers:
        one.before = lambda: known.append(bool(publishers[0].bound))
    lanes.publish(event(order, kind) for kind in ("order_created", "order_shipped") for order in range(40))
    assert [one.bound for one in publishers] == [[["order_created", "order_shipped"]], [], [], []]
    assert known == [True] * 4


def test_a_refusal_is_told_rather_than_that_the_broker_was_away(publishers: list[FakePublisher], lanes: Lanes) -> None:
    def fail_with(exc: BrokerUnavailable) -> None:
        raise exc

    for number, one in enumerate(publishers):
        exc = BrokerRefuses("no") if number == 2 else BrokerUnavailable("gone")
        one.before = partial(fail_with, exc)
    with pytest.raises(BrokerRefuses, match="no"):
        lanes.publish(event(order) for order in range(40))


def test_nothing_is_published_of_nothing(publishers: list[FakePublisher], lanes: Lanes) -> None:
    lanes.publish([])
    assert not any(one.ids for one in publishers)


def test_all_connections_are_kept_alive_and_closed(publishers: list[FakePublisher], lanes: Lanes) -> None:
    lanes.keep_alive()
    lanes.close()
    assert all(one.kept_alive and one.is_closed for one in publishers)


def test_the_check_asks_one_connection(publishers: list[FakePublisher], lanes: Lanes) -> None:
    lanes.check()

    def fail() -> None:
        raise BrokerUnavailable("gone")

    publishers[0].before = fail
    with pytest.raises(BrokerUnavailable, match="gone"):
        lanes.check()
