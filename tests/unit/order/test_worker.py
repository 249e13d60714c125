"""Rounds of the worker, with a publisher and a product-service that fail on demand."""

import threading
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Unavailable
from chassis.heartbeat import Heartbeat
from order_service.model import Buyer, Item, OrderRequest
from order_service.payment.model import PaymentTerms
from order_service.placing import Placement
from order_service.product_client import ProductServiceUnavailable
from order_service.store import Outbox
from tests.at_once import meanwhile
from tests.reconciling import reconcile
from tests.unit.order.order_app import ANA, Shop, make_shop
from tests.waiting import until

ANA_BUYER = Buyer("ana", "ana@example.com", None)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


def event_types(shop: Shop) -> list[str]:
    return [event["type"] for event in shop.publisher.published]


def test_events_are_published_once_and_in_order_and_nothing_stays_due(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.act(order_id, "ship")
    shop.act(order_id, "deliver")
    shop.work()
    assert event_types(shop) == ["order_created", "order_shipped", "order_delivered"]
    assert [event["subject"] for event in shop.publisher.published] == [order_id] * 3
    document = shop.document(order_id)
    assert (document["outbox"], "due" in document) == ([], False)


def test_events_wait_in_the_outbox_while_the_broker_is_away(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.publisher.away = True
    shop.work()
    assert [event["type"] for event in shop.document(order_id)["outbox"]] == ["order_created"]
    shop.publisher.away = False
    shop.work()
    assert event_types(shop) == []  # postponed by two seconds
    shop.clock.move(2)
    shop.work()
    assert event_types(shop) == ["order_created"]


def test_stock_is_released_while_the_broker_is_away(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.products.away = shop.publisher.away = True
    shop.act(order_id, "cancel", ANA)
    shop.products.away = False
    shop.work()
    assert shop.products.stock["mug"] == 10
    assert "release" not in shop.document(order_id)
    assert len(shop.document(order_id)["outbox"]) == 2


def test_events_are_published_while_product_service_is_away(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.products.away = True
    shop.act(order_id, "cancel", ANA)
    shop.work()
    assert event_types(shop) == ["order_created", "order_cancelled"]
    document = shop.document(order_id)
    assert (document["outbox"], "release" in document, "due" in document) == ([], True, False)


def test_a_rejected_order_has_nothing_to_release(shop: Shop) -> None:
    assert shop.order(11).status_code == 409
    shop.work()
    assert shop.products.released == []


def test_a_release_that_always_fails_does_not_delay_the_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [shop.ordered(1) for _ in range(4)]
    shop.products.away = True
    for order_id in orders:
        shop.act(order_id, "cancel", ANA)
    shop.products.away = False
    real = shop.products.release

    def release(order_id: str) -> None:
        if order_id == orders[0]:
            raise ProductServiceUnavailable
        real(order_id)

    monkeypatch.setattr(shop.products, "release", release)
    for _ in range(7):
        shop.work(1)
        shop.clock.move(1)
    assert sorted(shop.products.released) == sorted(orders[1:])
    assert "release" in shop.document(orders[0])


@pytest.mark.parametrize("away", [True, False])
def test_hundreds_of_releases_do_not_keep_an_event_from_being_published(shop: Shop, away: bool) -> None:
    shop.products.stock["mug"] = 1000
    shop.products.away = True
    for _ in range(250):
        assert shop.order(1).status_code == 503
    shop.products.away = False
    shipped = shop.ordered(1)
    shop.products.away = away
    shop.work(1)
    assert event_types(shop) == ["order_created"]
    assert shop.document(shipped)["outbox"] == []


def test_a_round_returns_whether_more_may_be_due(shop: Shop) -> None:
    shop.products.stock["mug"] = 1000
    for _ in range(101):
        shop.ordered(1)
    assert [shop.worker.work() for _ in range(3)] == [True, False, False]
    assert len(shop.publisher.published) == 101


def test_an_event_that_joins_the_outbox_during_a_publish_is_not_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.ordered()
    publish = shop.publisher.publish

    def ship_meanwhile(events: Any) -> None:
        publish(events)
        if shop.document(order_id)["status"] == "confirmed":
            assert shop.act(order_id, "ship").status_code == 200

    monkeypatch.setattr(shop.publisher, "publish", ship_meanwhile)
    shop.work(1)
    assert [event["type"] for event in shop.document(order_id)["outbox"]] == ["order_shipped"]
    shop.work(1)
    assert event_types(shop) == ["order_created", "order_shipped"]


STRAY = "f" * 32


def test_a_reservation_without_an_order_gets_a_failed_one_and_is_released_once(shop: Shop) -> None:
    shop.products.all_are_old = True
    living = shop.ordered(1)
    shop.products.reserve(STRAY, (Item("mug", 5),))
    assert reconcile(shop.worker) == 1
    document = shop.document(STRAY)
    assert (document["status"], "release" in document, shop.products.released) == ("failed", True, [])
    shop.work()
    assert (shop.products.released, "release" in shop.document(STRAY)) == ([STRAY], False)
    assert reconcile(shop.worker) == 0
    assert shop.products.stock["mug"] == 9
    assert list(shop.products.held) == [living]
    assert {event["subject"] for event in shop.publisher.published} == {living}


@pytest.mark.parametrize("winner", ["confirmed", "rejected"])
def test_the_worker_obeys_an_order_that_is_written_during_its_comparison(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    shop.products.all_are_old = True
    statuses, looks = type(shop.store).statuses, []

    def late(store: Any, order_ids: list[str]) -> dict[str, str]:
        found = statuses(store, order_ids)
        if not looks:
            looks.append(order_ids)
            shop.order(5, key="k")
            shop.database.orders.update_one({}, {"$set": {"status": winner}})
        return found

    placement = Placement(None, None, None, PaymentTerms(), OrderRequest(ANA_BUYER, (), "k"))  # type: ignore[arg-type]
    shop.products.reserve(placement._order_id(0), (Item("mug", 5),))
    monkeypatch.setattr(type(shop.store), "statuses", late)
    reconcile(shop.worker)
    shop.work()
    assert [document["status"] for document in shop.documents()] == [winner]
    assert shop.products.stock["mug"] == (5 if winner == "confirmed" else 10)


@pytest.mark.parametrize(
    ("status", "released"),
    [
        ("confirmed", False),
        ("shipped", False),
        ("delivered", False),
        ("paid", False),  # a status of a later version
        ("rejected", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_reconciliation_releases_the_stock_of_orders_that_must_not_hold_it(
    shop: Shop, status: str, released: bool
) -> None:
    shop.products.all_are_old = True
    order_id = shop.ordered(4)
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"status": status}})
    assert reconcile(shop.worker) == released
    assert shop.products.released == []  # a release may fail, and is not part of the comparison
    shop.work()
    assert shop.products.released == ([order_id] if released else [])


def test_reconciliation_keeps_its_cursor_and_compares_each_reservation_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.products.all_are_old = True
    shop.products.page_size = 2
    for _ in range(5):
        shop.ordered(1)
    asked = []
    real = shop.products.reservations

    def remember(*, older_than: float, cursor: str | None) -> Any:
        asked.append((older_than, cursor))
        return real(older_than=older_than, cursor=cursor)

    monkeypatch.setattr(shop.products, "reservations", remember)
    reconcile(shop.worker)
    reconcile(shop.worker, min_age=1.0)
    assert asked == [(15.0, None), (15.0, "2"), (15.0, "4"), (15.0, "5"), (1.0, "5")]


def test_a_round_compares_one_page_of_reservations_so_that_events_do_not_wait_for_all(shop: Shop) -> None:
    shop.products.all_are_old = True
    shop.products.page_size = 2
    for _ in range(5):
        shop.ordered(1)
    cursors = []
    for _ in range(5):
        shop.work(1)
        cursors.append(shop.cursor.read())
    assert cursors == ["2", "4", "5", "5", "5"]


def test_a_reservation_that_can_never_be_released_stops_neither_the_comparison_nor_other_releases(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.products.all_are_old, shop.products.page_size = True, 1
    order_ids = sorted(shop.ordered(1) for _ in range(3))
    shop.database.orders.update_many({}, {"$set": {"status": "cancelled"}})
    release = shop.products.release

    def fail_for_the_first(order_id: str) -> None:
        if order_id == order_ids[0]:
            raise ProductServiceUnavailable
        release(order_id)

    monkeypatch.setattr(shop.products, "release", fail_for_the_first)
    assert reconcile(shop.worker) == 3
    assert shop.cursor.read() == "3"
    for _ in range(7):
        shop.work(1)
        shop.clock.move(1)
    assert sorted(shop.products.released) == order_ids[1:]


def test_the_release_of_an_order_that_may_hold_stock_never_becomes_due(shop: Shop) -> None:
    order_id = shop.ordered()
    assert (shop.store.make_release_due(order_id), "release" in shop.document(order_id)) == (False, False)
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"status": "rejected"}})
    assert (shop.store.make_release_due(order_id), "release" in shop.document(order_id)) == (True, True)


def test_a_cursor_that_another_worker_has_moved_is_left_alone(shop: Shop) -> None:
    shop.cursor.save("1", previous=None)
    shop.cursor.save("2", previous=None)
    assert shop.cursor.read() == "1"
    shop.cursor.save("3", previous="1")
    shop.cursor.save("2", previous="1")
    assert shop.cursor.read() == "3"


def test_once_a_day_the_cursor_goes_back_two_days(shop: Shop) -> None:
    seen = []
    shop.cursor.step_back()  # nothing was compared yet
    shop.cursor.save("day 0", previous=None)
    for day in range(1, 7):
        shop.cursor.step_back()
        shop.cursor.step_back()  # the same day
        seen.append(shop.cursor.read())
        shop.cursor.save(f"day {day}", previous=shop.cursor.read())
        shop.clock.move(24 * 3600)
    assert seen == ["day 0", None, "day 0", "day 1", "day 2", "day 3"]
    assert len(shop.database.worker_state.find_one()["passed"]) == 3


def test_the_worker_moves_the_cursor_back_when_it_has_compared_everything(shop: Shop) -> None:
    shop.worker = shop.make_worker(shop.heartbeat, reconcile_every=0.0)
    shop.products.all_are_old = True
    shop.ordered(1)
    shop.work()
    assert shop.cursor.read() == "1"
    shop.clock.move(24 * 3600)
    shop.work(1)
    assert shop.cursor.read() is None


def test_a_reservation_that_appears_behind_the_cursor_is_found_within_a_day(shop: Shop) -> None:
    shop.products.all_are_old = True
    shop.ordered(1)
    reconcile(shop.worker)
    shop.cursor.step_back()
    shop.products.reserve("0" * 31 + "!", (Item("mug", 5),))  # sorts before the one that was compared
    assert reconcile(shop.worker) == 0
    shop.clock.move(24 * 3600)
    shop.cursor.step_back()
    assert reconcile(shop.worker) == 1
    shop.work()
    assert shop.products.stock["mug"] == 9


def test_no_outage_ends_the_worker(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    worker = shop.make_worker(Heartbeat(str(heartbeat)))
    outages = 1
    real = Outbox.due_orders

    def due(*args: Any) -> Any:
        nonlocal outages
        if outages:
            outages -= 1
            raise Unavailable("The database does not answer.")
        return real(*args)

    monkeypatch.setattr(Outbox, "due_orders", due)
    shop.ordered()
    stop = threading.Event()
    with meanwhile(lambda: worker.run(stop), stop=stop, seconds=5):
        until(lambda: shop.publisher.published, "the event is published after the outage")
    assert heartbeat.exists()


def test_the_worker_is_healthy_while_the_broker_is_away_and_unhealthy_while_it_refuses(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chassis.heartbeat.INTERVAL", 0.01)
    heartbeat = tmp_path / "heartbeat"
    worker = shop.make_worker(Heartbeat(str(heartbeat)), check_every=0.05, check_in_outage_every=0.05)
    shop.publisher.away = True
    stop = threading.Event()
    with meanwhile(lambda: worker.run(stop), stop=stop, seconds=5):
        until(heartbeat.exists, "it is healthy while the broker is away")
        shop.publisher.refuses = True
        until(lambda: "misconfigured" in caplog.text, "the refusal is logged, though nothing waits")
        heartbeat.unlink()
        check_at = worker.relay.check_at
        until(lambda: worker.relay.check_at > check_at + 0.1, "it continues")
        assert not heartbeat.exists()
        shop.publisher.refuses = shop.publisher.away = False
        until(heartbeat.exists, "it is healthy again")
    logged = "misconfigured: publishing events: events wait in the outbox. RabbitMQ says no."
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == [logged]


def test_a_missing_right_to_publish_is_a_misconfiguration(shop: Shop) -> None:
    shop.ordered()
    shop.publisher.refuses = True
    shop.work()
    assert list(shop.heartbeat.misconfigurations) == ["publishing events"]
    assert shop.publisher.published == []
