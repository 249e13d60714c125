"""A process of order-service dies at every step of the saga, and what a worker makes of it afterwards.

Each row names a step, and what is there after the recovery: the order's status, the stock, the events. In all of
them the promises hold, and a repeat with the same idempotency key ends in exactly one order.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pika
import pytest

from order_service import store, worker
from order_service.publisher import QUEUE, Publisher
from tests.integration import dying
from tests.integration.order_processes import PENDING_LIFE, SENT, act, place, reconcile, run, settle, work
from tests.integration.order_stack import ADMIN, ANA, STOCK, Stack, order_stack, without_product_service
from tests.signing import token
from tools.mongodb import MongoServer

STORE, CLIENT = "order_service.store:OrderStore", "order_service.products:ProductClient"
PUBLISHER, PIKA = "order_service.publisher:Publisher", "pika.adapters.blocking_connection:BlockingChannel"
ANA_WITH_KEY = ANA | {"Idempotency-Key": "k"}


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@pytest.fixture
def stack(mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(worker, "POSTPONED", 0.05)
    monkeypatch.setattr(worker, "RELEASES_POSTPONED", 0.05)
    monkeypatch.setattr(store, "PENDING_LIFE", PENDING_LIFE)
    with order_stack(mongo_server) as stack:
        stack.app.test_client().get("/orders", headers=ANA)
        yield stack


def outcome(stack: Stack) -> tuple[list[str], int, list[str]]:
    """Return the orders' status, the stock, and the types of the events, each once."""
    events = [event.partition(".")[2].removeprefix("order_") for event in dict.fromkeys(stack.events.ids)]
    return stack.states(), stack.stock(), events


def body(quantity: int) -> dict[str, Any]:
    return {"product_id": "mug", "quantity": quantity}


NOTHING: tuple[list[str], int, list[str]] = ([], STOCK, [])
FAILED: tuple[list[str], int, list[str]] = (["failed"], STOCK, [])
PLACED = (["confirmed"], STOCK - 4, ["created"])

PLACING = [
    (f"before {STORE}.open", NOTHING),
    ("after pymongo.collection:Collection.insert_one", FAILED),
    (f"after {STORE}.open", FAILED),
    (f"before {CLIENT}.reserve", FAILED),
    (f"before {CLIENT}._send", FAILED),
    (SENT, FAILED),
    (f"after {CLIENT}._send", FAILED),
    (f"after {CLIENT}.reserve", FAILED),
    (f"before {STORE}.confirm", FAILED),
    ("before pymongo.collection:Collection.update_one", FAILED),
    ("after pymongo.collection:Collection.update_one", PLACED),
    (f"after {STORE}.confirm", PLACED),
    ("after order_service.orders:Orders.place", PLACED),
    ("before order_service.api:created", PLACED),
    ("after flask:Flask.process_response", PLACED),  # the answer is made, and never sent
]


@pytest.mark.parametrize(("point", "expected"), PLACING)
def test_death_while_placing_an_order(stack: Stack, point: str, expected: Any) -> None:
    run(place, stack.settings, ANA_WITH_KEY, body(4), point=point)
    stack.recover()
    assert outcome(stack) == expected
    stack.check_promises()
    again = stack.order(4, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (
        201,
        "true" if expected is PLACED else None,
    )
    assert (stack.stock(), stack.states().count("confirmed")) == (STOCK - 4, 1)
    stack.check_promises()


@pytest.mark.parametrize(
    ("point", "status"),
    [
        (f"before {STORE}.reject", "failed"),
        ("before pymongo.collection:Collection.update_one", "failed"),
        ("after pymongo.collection:Collection.update_one", "rejected"),
        (f"after {STORE}.reject", "rejected"),
    ],
)
def test_death_while_rejecting_an_order(stack: Stack, point: str, status: str) -> None:
    run(place, stack.settings, ANA_WITH_KEY, body(STOCK + 1), point=point)
    stack.recover()
    assert outcome(stack) == ([status], STOCK, [])
    again = stack.order(STOCK + 1, key="k")
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (409, status == "rejected")
    stack.recover()
    stack.check_promises()


@pytest.mark.parametrize(
    "point",
    [
        f"before {STORE}.fail",
        "before pymongo.collection:Collection.update_one",
        "after pymongo.collection:Collection.update_one",
        f"after {STORE}.fail",
    ],
)
def test_death_while_giving_an_order_up(stack: Stack, point: str) -> None:
    run(place, without_product_service(stack.settings), ANA_WITH_KEY, body(4), point=point)
    stack.recover()
    assert outcome(stack) == FAILED
    assert stack.order(4, key="k").status_code == 201
    stack.check_promises()


CANCELLED = (["cancelled"], STOCK, ["created", "cancelled"])


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (f"before {STORE}.advance", PLACED),
        ("before pymongo.collection:Collection.update_one", PLACED),
        ("after pymongo.collection:Collection.update_one", CANCELLED),
        (f"after {STORE}.advance", CANCELLED),
        (f"before {CLIENT}.release", CANCELLED),
        (SENT, CANCELLED),
        (f"after {CLIENT}.release", CANCELLED),
        (f"before {STORE}.released", CANCELLED),
        (f"after {STORE}.released", CANCELLED),
    ],
)
def test_death_while_cancelling_an_order(stack: Stack, point: str, expected: Any) -> None:
    order_id = stack.order(4).json["id"]
    run(act, stack.settings, ADMIN, order_id, "cancel", point=point)
    stack.recover()
    assert outcome(stack) == expected
    stack.check_promises()


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
    stack.check_promises()


@pytest.mark.parametrize(
    ("point", "copies"),
    [
        (f"before {PUBLISHER}.publish", {1}),
        (f"before {PUBLISHER}._open", {1}),
        (f"before {PIKA}.basic_publish", {1}),
        ("after pika.channel:Channel.basic_publish", {1, 2}),  # perhaps sent, surely not confirmed
        (f"after {PIKA}.basic_publish", {2}),  # confirmed
        (f"after {PUBLISHER}.publish", {2}),
        (f"before {STORE}.published", {2}),
        (f"after {STORE}.published", {1}),
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
    stack.check_promises()


def message_ids(broker_url: str) -> Counter[str]:
    """Take all messages out of the queue, and count them by their id."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        found: Counter[str] = Counter()
        while (message := channel.basic_get(QUEUE, auto_ack=True))[0]:
            found[message[1].message_id] += 1
    return found


@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize(
    "point",
    [
        f"before {STORE}.fail_stale",
        f"after {STORE}.fail_stale",
        f"before {CLIENT}.release",
        SENT,
        f"after {CLIENT}.release",
        f"before {STORE}.released",
        f"after {STORE}.released",
    ],
)
def test_death_while_undoing_an_order_that_another_death_left_pending(stack: Stack, point: str, reserved: bool) -> None:
    run(place, stack.settings, ANA_WITH_KEY, body(4), point=f"{'after' if reserved else 'before'} {CLIENT}.reserve")
    assert (stack.states(), stack.stock()) == (["pending"], STOCK - 4 * reserved)
    run(settle, stack.settings, point=point)
    stack.recover()
    assert outcome(stack) == FAILED
    stack.check_promises()


@pytest.mark.parametrize(
    "point",
    [
        f"before {CLIENT}.reservations",
        f"before {STORE}.living",
        f"before {CLIENT}.release",
        SENT,
        f"after {CLIENT}.release",
        f"before {STORE}.reconciled",
        f"after {STORE}.reconciled",
    ],
)
def test_death_while_comparing_reservations_with_orders(stack: Stack, point: str) -> None:
    service = {"Authorization": f"Bearer {token('service')}"}
    lines = {"lines": [{"product_id": "mug", "quantity": 3}]}
    stack.order(4)
    products = stack.products_app.test_client()
    assert products.put("/reservations/stray", json=lines, headers=service).status_code == 200
    run(reconcile, stack.settings, point=point)
    stack.recover()
    stack.worker().reconcile(older_than=0)
    assert outcome(stack) == PLACED
    assert stack.reservations.find_one({"_id": "stray"})["state"] == "released"
    stack.check_promises()


def test_a_process_without_a_point_of_death_does_its_work(stack: Stack) -> None:
    """Guards the tests above: their processes die of the point, not of something else."""
    run(place, stack.settings, ANA_WITH_KEY, body(4))
    run(work, stack.settings)
    run(reconcile, stack.settings)
    assert (stack.states(), stack.stock()) == (["confirmed"], STOCK - 4)
    assert stack.orders.find_one()["outbox"] == []
