"""Several workers: they share the orders by ranges of ids, and take over what a lost one leaves."""

import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from chassis.errors import Unavailable
from chassis.heartbeat import Heartbeat
from order_service.model import ALL_ORDERS
from order_service.sharing import Share
from order_service.timings import Timings
from order_service.worker import Worker
from tests.unit.order.order_app import ANA, FakeProvider, FakePublisher, Shop, make_shop

LEASE = Timings.lease
Make = Callable[[str], Worker]


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> Shop:
    made = make_shop(monkeypatch, provider)
    made.products.stock["mug"] = 1000
    return made


@pytest.fixture
def make(shop: Shop) -> Make:
    """Make a worker that looks for the others in each round, with a publisher of its own."""

    def make_worker(name: str) -> Worker:
        shop.publisher = FakePublisher()
        return shop.make_worker(Heartbeat(), name=name, renew_every=0.0)

    return make_worker


def published(worker: Worker) -> list[str]:
    return [event["subject"] for event in worker.relay.publisher.published]  # type: ignore[attr-defined]


def test_a_worker_that_is_alone_does_everything() -> None:
    assert Share.of(0, 1) == Share(ALL_ORDERS, has_the_rest=True)


@pytest.mark.parametrize("workers", [2, 3, 7, 64])
def test_every_id_is_in_exactly_one_share_and_the_shares_are_about_the_same(workers: int) -> None:
    shares = [Share.of(number, workers) for number in range(workers)]
    ids = [uuid.uuid4().hex for _ in range(200 * workers)] + ["", "0" * 32, "f" * 32]
    ids += [share.ids.first for share in shares]
    takers = Counter(
        number
        for each in ids
        for number, share in enumerate(shares)
        if share.ids.first <= each and (share.ids.end is None or each < share.ids.end)
    )
    assert takers.total() == len(ids)
    assert min(takers.values()) > 100
    assert [share.has_the_rest for share in shares] == [True] + [False] * (workers - 1)


def test_two_workers_publish_each_event_once(shop: Shop, make: Make) -> None:
    one, two = make("one"), make("two")
    one.work(), two.work()
    orders = [shop.ordered(1) for _ in range(40)]
    for _ in range(3):
        one.work(), two.work()
    assert sorted(published(one) + published(two)) == sorted(orders)
    assert min(len(published(one)), len(published(two))) > 5


def test_two_workers_share_releases_and_payments(shop: Shop, make: Make, provider: FakeProvider) -> None:
    workers = [make("one"), make("two")]
    orders = [shop.ordered(1) for _ in range(40)]
    for order_id in orders:
        shop.pay(order_id)
        shop.products.away = True
        shop.act(order_id, "cancel", ANA)
    shop.products.away = False
    provider.calls.clear()
    before = len(shop.products.released)
    workers[0].sharing.current(), workers[1].sharing.current()
    for worker in workers:
        worker.work()
        after = len(shop.products.released)
        assert 5 < after - before < 35
        before = after
    assert sorted(shop.products.released) == sorted(orders)
    assert Counter(call for call, _ in provider.calls) == {"refund": 40}


def test_one_of_the_workers_compares_reservations(shop: Shop, make: Make) -> None:
    shop.products.all_are_old = True
    one, two = make("one"), make("two")
    two.work(), one.work()
    shop.products.held["stray"] = ()
    two.reconciler.next_run = one.reconciler.next_run = 0
    two.work()
    assert shop.database.orders.find_one({"_id": "stray"}) is None
    one.work()
    assert shop.document("stray")["status"] == "failed"


def test_the_share_of_a_worker_that_was_killed_is_taken_over_when_its_lease_ends(shop: Shop, make: Make) -> None:
    make("killed").work()
    left = make("left")
    left.work()
    orders = {shop.ordered(1) for _ in range(40)}
    left.work()
    assert 5 < len(published(left)) < 35
    shop.clock.move(LEASE)
    left.work()
    assert set(published(left)) == orders


def test_the_share_of_a_worker_that_stops_is_taken_over_at_once(shop: Shop, make: Make) -> None:
    stopping, left = make("stopping"), make("left")
    stopping.work()
    orders = {shop.ordered(1) for _ in range(40)}
    stopping.sharing.leave()
    left.work()
    assert set(published(left)) == orders


def test_a_worker_that_starts_again_under_its_name_has_its_share_back_at_once(shop: Shop, make: Make) -> None:
    make("worker").work()
    again = make("worker")
    order_id = shop.ordered(1)
    again.work()
    assert published(again) == [order_id]


def test_a_worker_to_which_the_broker_does_not_answer_leaves_its_share_to_the_others(shop: Shop, make: Make) -> None:
    failing, healthy = make("failing"), make("healthy")
    failing.work(), healthy.work()
    failing.relay.publisher.away = True  # type: ignore[attr-defined]
    orders = {shop.ordered(1) for _ in range(40)}
    failing.work()
    for _ in range(12):
        shop.clock.move(1)
        failing.work(), healthy.work()
    assert set(published(healthy)) == orders
    failing.relay.publisher.away = False  # type: ignore[attr-defined]
    failing.relay.check_at = 0
    failing.relay.check()
    failing.work(), healthy.work()
    more = {shop.ordered(1) for _ in range(40)}
    failing.work(), healthy.work()
    assert 5 < len(more & set(published(failing))) < 35


def test_after_an_outage_of_the_broker_every_event_is_published(shop: Shop, make: Make) -> None:
    workers = [make("one"), make("two")]
    for worker in workers * 2:
        worker.work()
        worker.relay.publisher.away = True  # type: ignore[attr-defined]
    orders = [shop.ordered(1) for _ in range(40)]
    for _ in range(15):
        shop.clock.move(1)
        workers[0].work(), workers[1].work()
    for worker in workers:
        worker.relay.publisher.away = False  # type: ignore[attr-defined]
    for _ in range(5):
        shop.clock.move(1)
        workers[0].work(), workers[1].work()
    assert set(published(workers[0]) + published(workers[1])) == set(orders)


def test_a_worker_whose_namesake_stops_works_on(shop: Shop, make: Make) -> None:
    worker = make("worker")
    worker.work()
    order_id = shop.ordered(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.sharing.leases, "renew", lambda *_arguments: [])
        worker.work()
    assert published(worker) == [order_id]


def test_leases_that_have_ended_are_removed(shop: Shop, make: Make) -> None:
    for number in range(5):
        make(f"worker-{number}").work()
        shop.clock.move(LEASE)
    assert [lease["_id"] for lease in shop.database.worker_leases.find()] == ["worker-4"]


def test_a_worker_that_cannot_renew_its_lease_waits(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> list[str]:
        raise Unavailable("The database does not answer.")

    worker = make("worker")
    shop.ordered(1)
    monkeypatch.setattr(worker.sharing.leases, "renew", fail)
    with pytest.raises(Unavailable):
        worker.work()
    assert published(worker) == []


def test_a_batch_has_as_many_orders_as_the_setting_says(shop: Shop) -> None:
    shop.publisher = FakePublisher()
    worker = shop.make_worker(Heartbeat(), batch=3)
    for _ in range(5):
        shop.ordered(1)
    assert worker.work()
    assert len(published(worker)) == 3
    assert not worker.work()
    assert len(published(worker)) == 5
