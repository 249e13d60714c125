"""A process of order-service dies before and after every action of the saga, and the invariants hold afterwards.

The actions are those of the executable specification, `tests/model/actions.py`, so that the specification and the code
cannot drift apart: each action has a scenario that leads a process to it. Finer crash points follow, with the exact
outcome of each: the statuses of the orders, the stock, the events.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pika
import pytest

from order_service.publisher import QUEUE, Publisher
from tests.integration import dying
from tests.integration.order_processes import (
    SENT,
    act,
    leave_reservations,
    place,
    reconcile,
    run,
    work,
)
from tests.integration.order_stack import ADMIN, ANA, STOCK, Stack, order_stack, without_product_service
from tests.model.actions import ACTIONS, CLIENT, OUTBOX, STORE
from tests.reconciling import reconcile as reconcile_now
from tests.waiting import until
from tools.stack.mongodb import MongoServer

PUBLISHER, PIKA = "order_service.publisher:Publisher", "pika.channel:Channel"
INSERT = "pymongo.collection:Collection.insert_one"
ANA_WITH_KEY = ANA | {"Idempotency-Key": "k"}


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@pytest.fixture
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    with order_stack(mongo_server) as stack:
        stack.app.test_client().get("/orders", headers=ANA)
        yield stack


def body(quantity: int) -> dict[str, Any]:
    return {"product_id": "mug", "quantity": quantity}


RunTo = Callable[[str], None]
"""Runs a process to its crash point."""


def placing(stack: Stack, _broker_url: str) -> RunTo:
    return lambda point: run(place, stack.settings, ANA_WITH_KEY, body(4), point=point)


def repeating(stack: Stack, broker_url: str) -> RunTo:
    assert stack.order(4, key="k").status_code == 201
    return placing(stack, broker_url)


def placing_after_a_failed_attempt(stack: Stack, broker_url: str) -> RunTo:
    """The failed attempt still holds its stock."""
    placing(stack, broker_url)(f"before {STORE}.create")
    assert reconcile_now(stack.worker(), min_age=0) == 1
    return placing(stack, broker_url)


def cancelling(stack: Stack, _broker_url: str) -> RunTo:
    order_id = stack.order(4, key="k").json["id"]
    return lambda point: run(act, stack.settings, ADMIN, order_id, "cancel", point=point)


def releasing(stack: Stack, _broker_url: str) -> RunTo:
    order_id = stack.order(4, key="k").json["id"]
    stack.stop_products()
    assert stack.act(order_id, "cancel").status_code == 200
    stack.start_products()
    return lambda point: run(work, stack.settings, point=point)


def comparing(stack: Stack, _broker_url: str) -> RunTo:
    stack.order(4, key="k")
    leave_reservations(stack, 2)
    return lambda point: run(reconcile, stack.settings, point=point)


def comparing_an_order_that_must_not_hold_stock(stack: Stack, _broker_url: str) -> RunTo:
    stack.order(4, key="k")
    stack.orders.update_one({}, {"$set": {"status": "cancelled"}})
    return lambda point: run(reconcile, stack.settings, point=point)


def publishing(stack: Stack, broker_url: str) -> RunTo:
    stack.order(4, key="k")
    return lambda point: run(work, stack.settings, broker_url, point=point)


SCENARIOS: dict[str, Callable[[Stack, str], RunTo]] = {
    "request.reserve": placing,
    "request.insert": placing,
    "request.read": repeating,
    "request.read_on": placing_after_a_failed_attempt,
    "request.release": placing_after_a_failed_attempt,
    "worker.release": releasing,
    "worker.released": releasing,
    "worker.list": comparing,
    "worker.compare": comparing,
    "worker.note": comparing,
    "worker.make_due": comparing_an_order_that_must_not_hold_stock,
    "worker.advance_cursor": comparing,
    "worker.step_back": comparing,
    "worker.publish": publishing,
    "worker.published": publishing,
    "customer.cancel": cancelling,
}
PRODUCT_SERVICE = {"product.take", "product.give_back"}  # dies in test_product_crashes
MONGODB = {"product.expire"}  # the server removes what has expired


def test_every_action_of_the_specification_has_its_scenario() -> None:
    assert SCENARIOS.keys() | PRODUCT_SERVICE | MONGODB == ACTIONS.keys()


@pytest.mark.parametrize("first", ["the repeat", "the worker"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", SCENARIOS)
def test_death_at_an_action(stack: Stack, broker_url: str, action: str, when: str, first: str) -> None:
    """Afterwards there is one order and nothing is left over, whether the repeat or the worker comes first."""
    SCENARIOS[action](stack, broker_url)(f"{when} {ACTIONS[action]}")
    recover = partial(stack.recover, stack.worker())
    if first == "the worker":
        recover()
        assert_at_rest(stack)
    answer = stack.order(4, key="k")
    recover()
    assert_at_rest(stack)
    (order,) = stack.orders.find({"status": {"$ne": "failed"}})
    assert (answer.status_code, answer.json["id"], answer.json["status"]) == (201, order["_id"], order["status"])
    assert stack.stock() == STOCK - (4 if order["status"] == "confirmed" else 0)


def assert_at_rest(stack: Stack) -> None:
    """Check the invariants, and that exactly the events that happened are published."""
    stack.check_invariants()
    assert not stack.orders.count_documents({"$or": [{field: {"$exists": True}} for field in ("due", "release")]})
    created = {f"{order['_id']}.order_created" for order in stack.orders.find({"status": {"$ne": "failed"}})}
    cancelled = {f"{order['_id']}.order_cancelled" for order in stack.orders.find({"status": "cancelled"})}
    assert set(stack.events.ids) <= created | cancelled
    assert all(order.get("outbox", []) == [] for order in stack.orders.find())


def outcome(stack: Stack) -> tuple[list[str], int, list[str]]:
    """Return the orders' status, the stock, and the types of the events, each once."""
    events = [event.partition(".")[2].removeprefix("order_") for event in dict.fromkeys(stack.events.ids)]
    return stack.states(), stack.stock(), events


NOTHING: tuple[list[str], int, list[str]] = ([], STOCK, [])
FAILED: tuple[list[str], int, list[str]] = (["failed"], STOCK, [])
PLACED = (["confirmed"], STOCK - 4, ["created"])

PLACING = [
    (f"before {CLIENT}._send", NOTHING),
    (SENT, FAILED),
    (f"after {CLIENT}._send", FAILED),
    (f"before {INSERT}", FAILED),
    (f"after {INSERT}", PLACED),
    ("after order_service.orders:Orders.place", PLACED),
    ("before order_service.api:created", PLACED),
    ("after flask:Flask.process_response", PLACED),  # the response exists, and is never sent
]


@pytest.mark.parametrize(("point", "expected"), PLACING)
def test_death_while_placing_an_order(stack: Stack, point: str, expected: Any) -> None:
    run(place, stack.settings, ANA_WITH_KEY, body(4), point=point)
    if expected is not NOTHING:
        until(lambda: stack.gate.done, "product-service is done, though its caller is dead")
    stack.recover()
    assert outcome(stack) == expected
    stack.check_invariants()
    again = stack.order(4, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (
        201,
        "true" if expected is PLACED else None,
    )
    assert (stack.stock(), stack.states().count("confirmed")) == (STOCK - 4, 1)
    stack.check_invariants()


@pytest.mark.parametrize(("point", "states"), [(f"before {INSERT}", []), (f"after {INSERT}", ["rejected"]), (SENT, [])])
def test_death_while_rejecting_an_order(stack: Stack, point: str, states: list[str]) -> None:
    run(place, stack.settings, ANA_WITH_KEY, body(STOCK + 1), point=point)
    until(lambda: stack.gate.done, "product-service is done, though its caller is dead")
    stack.recover()
    assert outcome(stack) == (states, STOCK, [])
    again = stack.order(STOCK + 1, key="k")
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (409, bool(states))
    stack.recover()
    stack.check_invariants()


@pytest.mark.parametrize(("point", "states"), [(f"before {INSERT}", []), (f"after {INSERT}", ["failed"])])
def test_death_while_noting_that_an_order_has_failed(stack: Stack, point: str, states: list[str]) -> None:
    run(place, without_product_service(stack.settings), ANA, body(4), point=point)
    stack.recover()
    assert outcome(stack) == (states, STOCK, [])
    assert stack.order(4).status_code == 201
    stack.check_invariants()


CANCELLED = (["cancelled"], STOCK, ["created", "cancelled"])


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (f"before {STORE}.transition", PLACED),
        ("before pymongo.collection:Collection.update_one", PLACED),
        ("after pymongo.collection:Collection.update_one", CANCELLED),
        (f"after {STORE}.transition", CANCELLED),
        (f"before {CLIENT}.release", CANCELLED),
        (SENT, CANCELLED),
        (f"after {CLIENT}.release", CANCELLED),
        (f"before {STORE}.mark_released", CANCELLED),
        (f"after {STORE}.mark_released", CANCELLED),
    ],
)
def test_death_while_cancelling_an_order(stack: Stack, point: str, expected: Any) -> None:
    order_id = stack.order(4).json["id"]
    run(act, stack.settings, ADMIN, order_id, "cancel", point=point)
    stack.recover()
    assert outcome(stack) == expected
    stack.check_invariants()


@pytest.mark.parametrize("action", ["ship", "deliver"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_while_shipping_and_delivering(stack: Stack, when: str, action: str) -> None:
    order_id = stack.order(4).json["id"]
    if action == "deliver":
        stack.act(order_id, "ship")
    run(act, stack.settings, ADMIN, order_id, action, point=f"{when} pymongo.collection:Collection.update_one")
    stack.recover()
    states = ["confirmed", "shipped", "delivered"]
    reached = ["ship", "deliver"].index(action) + (when == "after")
    assert outcome(stack) == ([states[reached]], STOCK - 4, ["created", "shipped", "delivered"][: reached + 1])
    stack.check_invariants()


@pytest.mark.parametrize(
    ("point", "copies"),
    [
        (f"before {PUBLISHER}.publish", {1}),
        (f"before {PUBLISHER}._open", {1}),
        (f"before {PIKA}.basic_publish", {1}),
        (f"after {PIKA}.basic_publish", {1, 2}),  # perhaps sent, surely not confirmed
        (f"after {PUBLISHER}.publish", {2}),  # confirmed
        (f"before {OUTBOX}.mark_published", {2}),
        (f"after {OUTBOX}.mark_published", {1}),
    ],
)
def test_death_while_publishing_an_event(stack: Stack, broker_url: str, point: str, copies: set[int]) -> None:
    order_id = stack.order(4).json["id"]
    run(work, stack.settings, broker_url, point=point)
    publisher = Publisher(broker_url)
    stack.recover(stack.worker(publisher))
    publisher.close()
    delivered = message_ids(broker_url)
    assert list(delivered) == [f"{order_id}.order_created"]
    assert delivered[f"{order_id}.order_created"] in copies
    assert stack.orders.find_one()["outbox"] == []
    stack.check_invariants()


def message_ids(broker_url: str) -> Counter[str]:
    """Take all messages out of the queue, and count them by their id."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        found: Counter[str] = Counter()
        while (message := channel.basic_get(QUEUE, auto_ack=True))[0]:
            found[message[1].message_id] += 1
    return found


@pytest.mark.parametrize("point", [f"before {INSERT}", f"after {INSERT}"])
def test_death_while_noting_a_reservation_without_an_order(stack: Stack, point: str) -> None:
    stack.order(4)
    (stray,) = leave_reservations(stack, 1)
    run(reconcile, stack.settings, point=point)
    stack.recover()
    assert outcome(stack) == (["confirmed", "failed"], STOCK - 4, ["created"])
    assert stack.reservations.find_one({"_id": stray})["state"] == "released"
    stack.check_invariants()


def test_a_process_without_a_crash_point_does_its_work(stack: Stack) -> None:
    """Guards the tests above: their processes die at the crash point, not for another reason."""
    run(place, stack.settings, ANA_WITH_KEY, body(4))
    run(work, stack.settings)
    run(reconcile, stack.settings)
    assert (stack.states(), stack.stock()) == (["confirmed"], STOCK - 4)
    assert stack.orders.find_one()["outbox"] == []
