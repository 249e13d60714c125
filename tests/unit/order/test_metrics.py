"""What order-service and its worker count: each fact once, by whoever has won its compare-and-set."""

import time
from typing import Any

import pytest

from chassis.errors import Unavailable
from order_service import metrics, worker_metrics
from order_service.model import ALL_ORDERS, Buyer, Item, OrderRequest
from order_service.payment.model import PaymentTerms
from order_service.payment.provider import PaymentPending, RequestRejected
from order_service.payments import SETTLE_STARTED_AFTER, SETTLE_UNKNOWN_AFTER
from order_service.placing import Placement
from order_service.store import OrderStore
from tests.counted import counted, value
from tests.reconciling import reconcile
from tests.unit.order.order_app import ANA, FakeProvider, Shop, make_shop

CAPTURES = "shop_payment_provider_duration_seconds_count capture answered"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


@pytest.fixture
def paid_shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch, FakeProvider())


def lost_race(shop: Shop, order_id: str) -> None:
    """Write the order of another request with the same key."""
    request = OrderRequest(Buyer("ana", "ana@example.com", None), (Item("mug", 2),), "k")
    placement = Placement(shop.store, shop.products, shop.clock, PaymentTerms(), request)  # type: ignore[arg-type]
    result = shop.products.reserve(order_id, request.items)
    assert placement._write(order_id, result)


# --- Orders -----------------------------------------------------------------------------------------------------------


def test_an_order_counts_by_its_outcome_with_its_value(shop: Shop) -> None:
    with counted() as grown:
        assert shop.order(2).status_code == 201
        assert shop.order(11).status_code == 409
        shop.products.away = True
        assert shop.order().status_code == 503
    assert grown == {
        "shop_orders_total confirmed": 1,
        "shop_order_value_minor_total EUR": 3998,
        "shop_orders_total rejected": 1,
        "shop_orders_total failed": 1,
    }


@pytest.mark.parametrize(("quantity", "status"), [(2, 201), (11, 409)])
def test_a_repeat_counts_as_one_and_as_no_order(shop: Shop, quantity: int, status: int) -> None:
    shop.order(quantity, key="k")
    with counted() as grown:
        assert [shop.order(quantity, key="k").status_code for _ in range(2)] == [status] * 2
        assert shop.order(1, key="k").status_code == 422
    assert grown == {"shop_orders_replayed_total": 2}


def test_the_request_that_finds_its_order_written_counts_as_a_repeat(shop: Shop) -> None:
    """Two requests with one key: the other one writes the order while this one waits for its reservation."""

    def meanwhile(order_id: str) -> None:
        shop.products.meanwhile = lambda _: None
        lost_race(shop, order_id)

    shop.products.meanwhile = meanwhile
    with counted() as grown:
        assert shop.order(2, key="k").headers["Idempotent-Replayed"] == "true"
    assert grown == {
        "shop_orders_total confirmed": 1,
        "shop_order_value_minor_total EUR": 3998,
        "shop_orders_replayed_total": 1,
    }


def test_a_write_that_fails_counts_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderStore, "create", lambda *_: False)
    with counted() as grown:
        assert shop.order(2, key="k").status_code == 503
    assert grown == {}


# --- Statuses ---------------------------------------------------------------------------------------------------------


def test_each_move_of_an_order_counts_once(shop: Shop) -> None:
    shipped, cancelled = shop.ordered(1), shop.ordered(1)
    with counted() as grown:
        for action in ("ship", "ship", "deliver", "deliver"):
            shop.act(shipped, action)
        for _ in range(2):
            shop.act(cancelled, "cancel", ANA)
    assert grown == {f"shop_order_transitions_total {status}": 1 for status in ("shipped", "delivered", "cancelled")}


def test_a_move_that_loses_a_race_counts_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = shop.ordered()
    find = OrderStore.find

    def find_then_ship(store: OrderStore, wanted: str) -> Any:
        found = find(store, wanted)
        monkeypatch.setattr(OrderStore, "find", find)
        assert shop.act(order_id, "ship").status_code == 200
        return found

    monkeypatch.setattr(OrderStore, "find", find_then_ship)
    with counted() as grown:
        assert shop.act(order_id, "cancel", ANA).status_code == 409
    assert grown == {"shop_order_transitions_total shipped": 1}


# --- Payments ---------------------------------------------------------------------------------------------------------


def settle(shop: Shop, seconds: float = SETTLE_STARTED_AFTER) -> None:
    shop.clock.move(seconds)
    shop.worker.settler.next_run = shop.worker.settler.pause_until = 0.0
    shop.worker.settler.settle_due(ALL_ORDERS)


def test_a_payment_counts_when_it_is_captured_and_a_repeat_does_not(paid_shop: Shop) -> None:
    order_id = paid_shop.ordered()
    with counted() as grown:
        assert [paid_shop.pay(order_id).status_code for _ in range(2)] == [200] * 2
    assert grown == {"shop_payments_total paid": 1, "shop_order_transitions_total paid": 1, CAPTURES: 1}


def test_a_declined_payment_counts_each_attempt(paid_shop: Shop) -> None:
    order_id, paid_shop.provider.declines = paid_shop.ordered(), True
    with counted() as grown:
        assert [paid_shop.pay(order_id).status_code for _ in range(2)] == [402] * 2
    assert grown == {"shop_payments_total declined": 2, CAPTURES: 2}


def test_an_unknown_payment_counts_once_however_often_it_is_tried_and_its_truth_once_more(paid_shop: Shop) -> None:
    order_id, paid_shop.provider.loses_answers = paid_shop.ordered(), True
    with counted() as grown:
        assert [paid_shop.pay(order_id).status_code for _ in range(3)] == [503] * 3
        settle(paid_shop)
    assert grown == {
        "shop_payments_total unknown": 1,
        "shop_payment_provider_duration_seconds_count capture unavailable": 3,
        "shop_payment_provider_duration_seconds_count look_up unavailable": 1,
    }
    paid_shop.provider.loses_answers = False
    with counted() as grown:
        for _ in range(2):
            settle(paid_shop, SETTLE_UNKNOWN_AFTER)
    assert grown == {
        "shop_payments_total paid": 1,
        "shop_order_transitions_total paid": 1,
        "shop_payment_provider_duration_seconds_count look_up answered": 1,
    }


def test_a_payment_that_is_settled_meanwhile_counts_only_there(paid_shop: Shop) -> None:
    """The worker finds out what happened while the request still waits for its answer."""
    order_id, provider = paid_shop.ordered(), paid_shop.provider

    def meanwhile(call: str) -> None:
        if call == "capture":
            provider.meanwhile = lambda _: None
            settle(paid_shop)

    provider.meanwhile = meanwhile
    with counted() as grown:
        assert paid_shop.pay(order_id).status_code == 200
    looked_up = {"shop_payment_provider_duration_seconds_count look_up answered": 1, CAPTURES: 1}
    assert grown == {"shop_payments_total paid": 1, "shop_order_transitions_total paid": 1, **looked_up}


def test_a_cancelled_payment_is_due_for_a_refund_once_and_refunded_once(paid_shop: Shop) -> None:
    order_id = paid_shop.ordered()
    paid_shop.pay(order_id)
    with counted() as grown:
        paid_shop.act(order_id, "cancel", ANA)
    assert grown == {"shop_order_transitions_total cancelled": 1, "shop_payments_total refund_due": 1}
    with counted() as grown:
        for _ in range(2):
            settle(paid_shop)
    refunds = {"shop_payment_provider_duration_seconds_count refund answered": 1}
    assert grown == {"shop_payments_total refunded": 1, **refunds}


def test_money_that_was_taken_for_a_cancelled_order_is_due_for_a_refund_and_never_paid(paid_shop: Shop) -> None:
    order_id, paid_shop.provider.loses_answers = paid_shop.ordered(), True
    paid_shop.pay(order_id)
    paid_shop.provider.loses_answers = False
    paid_shop.act(order_id, "cancel", ANA)
    with counted() as grown:
        settle(paid_shop)
    looked_up = {"shop_payment_provider_duration_seconds_count look_up answered": 1}
    assert grown == {"shop_payments_total refund_due": 1, **looked_up}


def test_an_order_that_expires_counts_as_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(monkeypatch, FakeProvider(), payment_minutes=1.0)
    shop.ordered()
    with counted() as grown:
        for _ in range(2):
            settle(shop, 61)
    assert grown == {"shop_order_transitions_total cancelled": 1}


def test_a_provider_that_has_not_decided_yet_has_answered() -> None:
    with counted() as grown, pytest.raises(PaymentPending), metrics.provider_call("look_up"):
        raise PaymentPending("later")
    assert grown == {"shop_payment_provider_duration_seconds_count look_up answered": 1}


# --- The worker -------------------------------------------------------------------------------------------------------


def test_an_event_counts_when_the_broker_has_confirmed_it_with_the_time_since_it_happened(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.act(order_id, "ship")
    shop.publisher.away = True
    with counted() as grown:
        shop.work(2)
    assert grown == {"shop_publish_failures_total": 1}
    shop.publisher.away = False
    shop.clock.move(7)
    before = value("shop_outbox_delay_seconds_sum")
    with counted() as grown:
        shop.work(3)
    assert grown == {
        "shop_events_published_total order_created": 1,
        "shop_events_published_total order_shipped": 1,
        "shop_outbox_delay_seconds_count": 2,
    }
    assert value("shop_outbox_delay_seconds_sum") - before == 14


@pytest.mark.parametrize("time", [None, "noon"])
def test_an_event_without_a_time_is_published_and_counted(shop: Shop, time: Any) -> None:
    shop.ordered()
    shop.database.orders.update_one({}, {"$set": {"outbox.0.time": time}})
    with counted() as grown:
        shop.work(2)
    assert grown == {"shop_events_published_total order_created": 1}
    assert shop.documents()[0]["outbox"] == []


def test_a_release_counts_once_if_two_workers_do_it(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.products.away = True
    shop.act(order_id, "cancel", ANA)
    shop.products.away = False
    release = shop.products.release

    def release_twice(wanted: str) -> None:
        shop.products.release = release  # type: ignore[method-assign]
        shop.make_worker(shop.heartbeat).releaser.release_due(ALL_ORDERS)
        release(wanted)

    shop.products.release = release_twice  # type: ignore[method-assign]
    with counted() as grown:
        shop.worker.releaser.release_due(ALL_ORDERS)
    assert (grown, shop.products.released) == ({"shop_releases_total": 1}, [order_id] * 2)


def test_a_release_by_the_request_that_cancels_is_no_work_of_the_worker(shop: Shop) -> None:
    order_id = shop.ordered()
    with counted() as grown:
        shop.act(order_id, "cancel", ANA)
    assert grown == {"shop_order_transitions_total cancelled": 1}


def test_a_stray_reservation_counts_once_by_what_its_order_lacks(shop: Shop) -> None:
    shop.products.all_are_old = True
    shop.products.reserve("no order has this id", (Item("mug", 1),))
    cancelled = shop.ordered(1)
    shop.act(cancelled, "cancel", ANA)
    shop.products.held[cancelled] = (Item("mug", 1),)  # a late request has taken it again
    with counted() as grown:
        for _ in range(3):
            reconcile(shop.worker, min_age=0)
            shop.cursor.save("0", previous=shop.cursor.read())
    assert grown == {
        "shop_stray_reservations_total missing": 1,
        "shop_stray_reservations_total undone": 1,
        "shop_orders_total failed": 1,
    }


def test_stock_that_waits_for_its_release_is_no_stray(shop: Shop) -> None:
    shop.products.all_are_old = True
    order_id = shop.ordered(1)
    shop.products.away = True
    shop.act(order_id, "cancel", ANA)
    shop.products.away = False
    with counted() as grown:
        shop.worker.reconciler.run_if_due()
    assert grown == {}
    assert "release" in shop.document(order_id)


def test_the_end_of_the_reservations_has_a_time_and_an_earlier_page_has_none(shop: Shop) -> None:
    worker_metrics.RECONCILED.set(0)
    shop.products.all_are_old, shop.products.page_size = True, 1
    shop.ordered(1)
    shop.worker.reconciler.run_if_due()
    assert value("shop_reconciled_timestamp_seconds") == 0
    before = time.time()
    shop.worker.reconciler.run_if_due()
    assert before <= value("shop_reconciled_timestamp_seconds") <= time.time()


# --- The backlog ------------------------------------------------------------------------------------------------------


BACKLOG = (
    *("outbox_events", "outbox_oldest_seconds"),
    *("releases_due", "releases_oldest_seconds"),
    *("payments_due", "payments_oldest_seconds"),
)


def backlog() -> dict[str, float]:
    return {name: value(f"shop_{name}") for name in BACKLOG}


def measure(shop: Shop) -> dict[str, float]:
    shop.worker.backlog.next_run = 0.0
    shop.worker.backlog.measure_if_due()
    return backlog()


def test_the_backlog_has_what_waits_and_for_how_long(paid_shop: Shop) -> None:
    nothing = dict.fromkeys(BACKLOG, 0)
    assert measure(paid_shop) == nothing
    cancelled = paid_shop.ordered(1)
    paid_shop.pay(cancelled)
    paid_shop.clock.move(60)
    paid_shop.products.away = paid_shop.publisher.away = True
    paid_shop.act(cancelled, "cancel", ANA)
    paid_shop.products.away = False
    paid_shop.ordered(1)
    paid_shop.worker.relay.publish_due(ALL_ORDERS)  # delays both
    paid_shop.clock.move(30)
    assert measure(paid_shop) == {
        "outbox_events": 2,
        "outbox_oldest_seconds": 90,
        "releases_due": 1,
        "releases_oldest_seconds": 30,
        "payments_due": 1,
        "payments_oldest_seconds": 30,
    }
    paid_shop.publisher.away = False
    paid_shop.work()
    settle(paid_shop)
    paid_shop.work()
    assert measure(paid_shop) == nothing


def test_a_payment_that_is_tried_again_in_a_moment_is_due(paid_shop: Shop) -> None:
    """A gauge that is read between two tries must not say that nothing waits."""
    paid_shop.provider.loses_answers = True
    paid_shop.pay(paid_shop.ordered())
    for _ in range(3):
        settle(paid_shop, SETTLE_UNKNOWN_AFTER)
        assert measure(paid_shop)["payments_due"] == 1
    other = paid_shop.ordered()
    paid_shop.provider.loses_answers = False
    paid_shop.pay(other)
    assert measure(paid_shop)["payments_due"] == 1


def test_the_age_of_a_payment_counts_from_its_first_failure_until_it_is_settled(paid_shop: Shop) -> None:
    """Each try makes it due anew, so that `payment_due` alone would never be old."""
    paid_shop.provider.loses_answers = True
    paid_shop.pay(paid_shop.ordered())
    assert measure(paid_shop)["payments_oldest_seconds"] == 0
    settle(paid_shop)  # the first failure of the worker
    for minutes in (1, 2, 3):
        settle(paid_shop, 60)
        assert measure(paid_shop)["payments_oldest_seconds"] == 60 * minutes
    paid_shop.provider.loses_answers = False
    settle(paid_shop)
    assert measure(paid_shop)["payments_oldest_seconds"] == 0
    assert "failing_since" not in str(paid_shop.database.orders.find_one({}))


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (PaymentPending("The bank is thinking."), 0),
        (RequestRejected("A person must look."), 240),
        (ZeroDivisionError(), 240),
    ],
    ids=lambda reason: type(reason).__name__,
)
def test_a_refund_that_takes_days_has_no_age_and_one_that_a_person_must_look_at_has_one(
    paid_shop: Shop, monkeypatch: pytest.MonkeyPatch, reason: Exception, shown: float
) -> None:
    def fail(_charge: object) -> None:
        raise reason

    order_id = paid_shop.ordered()
    paid_shop.pay(order_id)
    paid_shop.act(order_id, "cancel")
    monkeypatch.setattr(paid_shop.provider, "refund", fail)
    settle(paid_shop, 0)
    ages = []
    for _ in range(4):
        settle(paid_shop, 60)
        ages.append(measure(paid_shop)["payments_oldest_seconds"])
    assert (min(ages), ages[-1]) == (shown / 4, shown)


def test_a_refund_that_was_rejected_and_is_now_decided_by_the_bank_is_young_again(
    paid_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [RequestRejected("no"), PaymentPending("later")]

    def fail(_charge: object) -> None:
        raise reasons.pop(0)

    order_id = paid_shop.ordered()
    paid_shop.pay(order_id)
    paid_shop.act(order_id, "cancel")
    monkeypatch.setattr(paid_shop.provider, "refund", fail)
    settle(paid_shop, 0)
    paid_shop.clock.move(59)
    assert measure(paid_shop)["payments_oldest_seconds"] == 59
    settle(paid_shop, 1)
    assert measure(paid_shop)["payments_oldest_seconds"] == 0


def test_an_order_whose_expiry_fails_gets_no_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(monkeypatch, FakeProvider(), payment_minutes=1.0)
    order_id = shop.ordered()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("order_service.payments.Payments._expire", fail)
    settle(shop, 60)
    assert "payment" not in shop.document(order_id)


def test_a_release_is_as_old_as_the_cancellation_however_often_it_has_failed(shop: Shop) -> None:
    order_id = shop.ordered(1)
    shop.clock.move(3600)
    shop.products.away = True
    shop.act(order_id, "cancel", ANA)
    for minutes in (1, 2, 3):
        shop.clock.move(60)
        shop.work()
        assert measure(shop)["releases_oldest_seconds"] == 60 * minutes
    shop.products.away = False
    shop.clock.move(60)
    shop.work()
    assert measure(shop)["releases_oldest_seconds"] == 0


def test_an_unpaid_order_that_may_still_be_paid_is_no_payment_due(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(monkeypatch, FakeProvider(), payment_minutes=1.0)
    shop.ordered()
    for _ in range(2):
        assert measure(shop)["payments_due"] == 0
        shop.clock.move(61)


def test_the_backlog_is_measured_every_few_seconds_and_stays_as_it_was_while_the_database_is_away(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.ordered()
    assert measure(shop)["outbox_events"] == 1
    shop.database.orders.update_many({}, {"$unset": {"due": ""}})
    shop.worker.backlog.measure_if_due()
    assert backlog()["outbox_events"] == 1

    def fail(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr("order_service.store.Outbox.waiting", fail)
    with pytest.raises(Unavailable):
        measure(shop)
    assert backlog()["outbox_events"] == 1


def test_of_a_long_backlog_all_orders_count(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_service.store.outbox.SAMPLE", 2)
    for _ in range(4):
        shop.ordered(1)
        shop.clock.move(1)
    shown = measure(shop)
    assert (shown["outbox_events"], shown["outbox_oldest_seconds"]) == (4, 4)


def test_of_many_releases_all_orders_count(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_service.store.orders.SAMPLE", 2)
    shop.products.away = True
    for _ in range(3):
        shop.order()
    shop.clock.move(4)
    shown = measure(shop)
    assert (shown["releases_due"], shown["releases_oldest_seconds"]) == (3, 4)
