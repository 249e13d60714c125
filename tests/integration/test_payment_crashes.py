"""A process dies before and after every write and every call to the provider, and no money goes astray.

Afterwards, whether the customer's repeat or the worker comes first, the ledger of the provider fits the orders: the
money of an order that stands is captured once, and all other money is given back once.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clock import NOON
from tests.integration import dying
from tests.integration.order_processes import act, pay, run, work
from tests.integration.order_stack import ADMIN, ANA, STOCK, UNSETTLED, Stack, order_stack
from tests.local_server import serving
from tests.model.actions import PAYMENT_ACTIONS
from tests.unit.order.fake_stripe import FakeStripe
from tools.stack.mongodb import MongoServer

PAYMENTS, LEDGER = "order_service.store:PaymentStore", "order_service.store:PaymentLedger"
ORDERS, PROVIDER = "order_service.store:OrderStore", "order_service.payment.simulated:SimulatedProvider"
UPDATE = "pymongo.collection:Collection.update_one"


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@pytest.fixture
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    with order_stack(mongo_server, payment_provider="simulated", payment_minutes=30) as stack:
        yield stack


RunTo = Callable[[str], None]
"""Runs a process to its crash point."""


def paying(stack: Stack, order_id: str) -> RunTo:
    return lambda point: run(pay, stack.settings, ANA, order_id, "pm_card_ok", point=point)


def paying_with_a_lost_answer(stack: Stack, order_id: str) -> RunTo:
    return lambda point: run(pay, stack.settings, ANA, order_id, "pm_card_lost", point=point)


def paying_with_a_bad_card(stack: Stack, order_id: str) -> RunTo:
    return lambda point: run(pay, stack.settings, ANA, order_id, "pm_card_declined", point=point)


def repeating_an_open_attempt(stack: Stack, order_id: str) -> RunTo:
    assert stack.pay(order_id, "pm_card_lost").status_code == 503
    return paying(stack, order_id)


def cancelling_a_paid_order(stack: Stack, order_id: str) -> RunTo:
    assert stack.pay(order_id).status_code == 200
    return lambda point: run(act, stack.settings, ADMIN, order_id, "cancel", point=point)


def settling_what_was_captured(stack: Stack, order_id: str) -> RunTo:
    assert stack.pay(order_id, "pm_card_lost").status_code == 503
    return settling(stack)


def settling_what_was_captured_for_a_cancelled_order(stack: Stack, order_id: str) -> RunTo:
    assert stack.pay(order_id, "pm_card_lost").status_code == 503
    assert stack.act(order_id, "cancel").status_code == 200
    return settling(stack)


def settling_what_was_never_sent(stack: Stack, order_id: str) -> RunTo:
    run(pay, stack.settings, ANA, order_id, "pm_card_ok", point=f"before {PROVIDER}.capture")
    return settling(stack)


def refunding(stack: Stack, order_id: str) -> RunTo:
    cancelling_a_paid_order(stack, order_id)
    assert stack.act(order_id, "cancel").status_code == 200
    return settling(stack)


def expiring(stack: Stack, _order_id: str) -> RunTo:
    stack.orders.update_many({}, {"$set": {"pay_by": NOON, "payment_due": NOON}})
    return lambda point: run(work, stack.settings, point=point)


def settling(stack: Stack) -> RunTo:
    """Return the run of a worker that finds unsettled payments due."""
    stack.orders.update_many(UNSETTLED, {"$set": {"payment_due": NOON}})
    return lambda point: run(work, stack.settings, point=point)


SETTLING = (f"{PAYMENTS}.due", f"{PROVIDER}.look_up", f"{LEDGER}.record_charge")
STEPS: dict[Callable[[Stack, str], RunTo], tuple[str, ...]] = {
    paying: (
        f"{PAYMENTS}.start",
        f"{PROVIDER}.capture",
        f"{LEDGER}.record_charge",
        f"{PAYMENTS}.settle_captured",
        "flask:Flask.process_response",
    ),
    paying_with_a_lost_answer: (f"{LEDGER}.record_charge", f"{PAYMENTS}.mark_unknown"),
    paying_with_a_bad_card: (f"{LEDGER}.record_charge", f"{PAYMENTS}.settle_declined"),
    repeating_an_open_attempt: (f"{PAYMENTS}.repeat", f"{LEDGER}.record_charge"),
    cancelling_a_paid_order: (f"{ORDERS}.transition", UPDATE, f"{ORDERS}.mark_released"),
    settling_what_was_captured: (*SETTLING, f"{PAYMENTS}.settle_captured"),
    settling_what_was_captured_for_a_cancelled_order: (*SETTLING, f"{PAYMENTS}.settle_captured"),
    settling_what_was_never_sent: (*SETTLING, f"{PAYMENTS}.settle_declined"),
    refunding: (f"{PAYMENTS}.due", f"{PROVIDER}.refund", f"{LEDGER}.record_refund", f"{PAYMENTS}.mark_refunded"),
    expiring: (f"{PAYMENTS}.due", f"{ORDERS}.transition", f"{PAYMENTS}.clear_due"),
}


@pytest.mark.parametrize("first", ["the repeat", "the worker"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("scenario", "step"), [(scenario, step) for scenario in STEPS for step in STEPS[scenario]])
def test_death_at_a_step(
    stack: Stack, scenario: Callable[[Stack, str], RunTo], step: str, when: str, first: str
) -> None:
    order_id = stack.order(4).json["id"]
    scenario(stack, order_id)(f"{when} {step}")
    order = stack.orders.find_one({"_id": order_id})
    published_by_the_dead = event_ids(order) - {event["id"] for event in order["outbox"]}
    if first == "the worker":
        stack.recover()
        stack.check_invariants()
    answer = stack.pay(order_id)
    stack.recover()
    stack.check_invariants()
    order = stack.orders.find_one({"_id": order_id})
    expected = {"paid": {200}, "confirmed": {402}, "cancelled": {409}}[order["status"]]
    assert answer.status_code in expected | ({503} if scenario is paying_with_a_lost_answer else set())
    assert stack.stock() == (STOCK if order["status"] == "cancelled" else STOCK - 4)
    assert {*stack.events.ids, *published_by_the_dead} == event_ids(order)
    assert order["outbox"] == []
    if order["status"] == "confirmed":
        assert stack.pay(order_id).status_code == 200
        stack.check_invariants()


def event_ids(order: dict[str, Any]) -> set[str]:
    """Return the ids of the events that follow from an order's history and payment."""
    names = {"confirmed": "order_created", "paid": "order_paid", "cancelled": "order_cancelled"}
    types = {names[entry["status"]] for entry in order["history"]}
    types |= {"order_refunded"} if order.get("payment", {}).get("status") == "refunded" else set()
    return {f"{order['_id']}.{name}" for name in types}


STRIPE = "order_service.payment.stripe_provider:StripeProvider"
STRIPE_STEPS = (
    f"{STRIPE}._create",
    f"{PAYMENTS}.save_reference",
    f"{STRIPE}._confirm",
    f"{PAYMENTS}.settle_captured",
)


@pytest.mark.parametrize("first", ["the repeat", "the worker"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STRIPE_STEPS)
def test_death_while_paying_with_stripe(mongo_server: MongoServer, step: str, when: str, first: str) -> None:
    """Whatever happens, one PaymentIntent of the order takes the money, and after a cancellation gives it back."""
    fake = FakeStripe()
    settings = {"payment_provider": "stripe", "stripe_api_key": "sk_test_1"}
    with serving(fake) as server, order_stack(mongo_server, stripe_api_base=server.url, **settings) as stack:
        order_id = stack.order(4).json["id"]
        run(pay, stack.settings, ANA, order_id, "pm_ok", point=f"{when} {step}")
        if first == "the worker":
            stack.recover()
        assert stack.pay(order_id, "pm_ok").status_code == 200
        assert len(fake.captured) == 1
        assert fake.intents[fake.captured[0]]["metadata"]["order_id"] == order_id
        assert stack.act(order_id, "cancel").status_code == 200
        stack.recover()
        assert [refund["payment_intent"] for refund in fake.refunds] == fake.captured
        assert stack.orders.find_one({"_id": order_id})["payment"]["status"] == "refunded"


def test_many_who_pay_and_cancel_one_order_at_the_same_moment_pay_it_at_most_once(stack: Stack) -> None:
    """Ten orders, each paid from four threads with different cards and cancelled from another."""
    order_ids = [stack.order(1).json["id"] for _ in range(10)]
    methods = ("pm_card_ok", "pm_card_lost", "pm_card_declined", "pm_card_ok", "cancel")

    def act_on(order_id: str, what: str) -> int:
        answer = stack.act(order_id, "cancel") if what == "cancel" else stack.pay(order_id, what)
        return answer.status_code

    worker = stack.worker()
    with ThreadPoolExecutor(10) as threads:
        tasks = [threads.submit(act_on, order_id, what) for what in methods for order_id in order_ids]
        for _ in range(20):
            stack.orders.update_many(UNSETTLED, {"$set": {"payment_due": NOON}})
            worker.work()
        answers = {task.result() for task in tasks}
    assert answers <= {200, 402, 409, 503}
    stack.recover(worker)
    stack.check_invariants()
    assert stack.ledger.count_documents({"outcome": "captured"}) > 0
    assert len(stack.events.ids) == len(set(stack.events.ids))


def test_every_action_of_the_specification_is_among_the_steps() -> None:
    steps = {step for steps in STEPS.values() for step in steps} | set(STRIPE_STEPS)
    assert set(PAYMENT_ACTIONS.values()) - steps == {f"{ORDERS}.find"}  # a read leaves nothing behind


def test_a_process_without_a_crash_point_does_its_work(stack: Stack) -> None:
    """Guards the tests above: their processes die at the crash point, not for another reason."""
    first, second = stack.order(1).json["id"], stack.order(1).json["id"]
    run(pay, stack.settings, ANA, first, "pm_card_ok")
    expiring(stack, second)("")
    assert [stack.orders.find_one({"_id": order_id})["status"] for order_id in (first, second)] == ["paid", "cancelled"]
    run(act, stack.settings, ADMIN, first, "cancel")
    settling(stack)("")
    assert stack.orders.find_one({"_id": first})["payment"]["status"] == "refunded"
    stack.check_invariants()
