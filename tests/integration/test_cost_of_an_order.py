"""The exact cost of an order: database commands, HTTP calls and messages. A number that grows must be worth it.

Time is left out, so that the numbers are the same on every machine; `./dev bench` measures the time.
"""

import json
from collections.abc import Iterator
from functools import partial
from threading import Event

import pytest

from chassis import mongo
from notification_service.channels import channels
from notification_service.config import MAIL_FROM
from notification_service.delivery import DELIVERED
from notification_service.handling import handle_messages
from notification_service.notifier import Notifier
from notification_service.retrying import RetryWhileUnavailable
from notification_service.store import NotificationStore
from tests.deliveries import FakeDelivery
from tests.integration.commands import Commands, recorded
from tests.integration.mailroom import event
from tests.integration.order_stack import ANA, STOCK, Stack, order_stack
from tests.reconciling import reconcile
from tests.unit.notification.notification_app import COMPOSER
from tools.stack.mongodb import MongoServer

RESERVE = ["find", "bulkWrite", "commitTransaction"]


@pytest.fixture
def commands() -> Iterator[Commands]:
    with recorded() as commands:
        yield commands


@pytest.fixture
def stack(commands: Commands, mongo_server: MongoServer) -> Iterator[Stack]:
    """The services after a first order, which has fetched the keys, the token and the clock's offset."""
    with order_stack(mongo_server) as stack:
        assert stack.order().status_code == 201
        stack.gate.seen.clear()
        commands.forget()
        yield stack


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("products", [("mug",), ("mug", "pen")])
def test_an_order_takes_four_commands_and_one_call(
    stack: Stack, commands: Commands, products: tuple[str, ...], key: str | None
) -> None:
    items = [{"product_id": product_id, "quantity": 1} for product_id in products]
    headers = ANA if key is None else {**ANA, "Idempotency-Key": key}
    assert stack.app.test_client().post("/orders", json={"items": items}, headers=headers).status_code == 201
    assert commands.names == [*RESERVE, "insert"]
    assert stack.gate.seen == ["PUT"]


def test_a_repeat_of_an_order_reads_the_record_and_the_order(stack: Stack, commands: Commands) -> None:
    assert stack.order(key="k").status_code == 201
    stack.gate.seen.clear()
    commands.forget()
    assert stack.order(key="k").status_code == 201
    assert commands.names == ["find", "bulkWrite", "abortTransaction", "find", "find"]
    assert stack.gate.seen == ["PUT"]


def test_a_refusal_is_recorded_on_both_sides(stack: Stack, commands: Commands) -> None:
    assert stack.order(STOCK).status_code == 409
    assert commands.names == ["find", "insert", "insert"]


def test_the_worker_takes_three_commands_for_a_hundred_orders_and_a_message_for_each(
    stack: Stack, commands: Commands
) -> None:
    worker = stack.worker()
    worker.work()  # compares reservations as well, which it does every few seconds
    for _ in range(3):
        assert stack.order(1).status_code == 201
    stack.events.ids.clear()
    stack.gate.seen.clear()
    commands.forget()
    worker.work()
    assert commands.names == ["find", "update", "find"]
    assert len(stack.events.ids) == 3
    assert stack.gate.seen == []


def test_an_idle_worker_takes_two_commands(stack: Stack, commands: Commands) -> None:
    worker = stack.worker()
    worker.work()
    commands.forget()
    worker.work()
    assert commands.names == ["find", "find"]


def test_paying_takes_two_reads_and_two_writes_beside_what_the_provider_does(
    mongo_server: MongoServer, commands: Commands
) -> None:
    with order_stack(mongo_server, payment_provider="simulated") as stack:
        order_id = stack.order().json["id"]
        commands.forget()
        assert stack.pay(order_id).status_code == 200
        collections = [(name, command[name]) for _, name, command in commands.sent]
        bank = [("insert", "payment_ledger")]
        assert collections == [
            ("find", "orders"),
            ("update", "orders"),
            *bank,
            ("update", "orders"),
            ("find", "orders"),
        ]


def test_an_idle_worker_with_a_payment_provider_takes_one_command_more(
    mongo_server: MongoServer, commands: Commands
) -> None:
    with order_stack(mongo_server, payment_provider="simulated") as stack:
        worker = stack.worker()
        worker.work()
        commands.forget()
        worker.work()
        assert commands.names == ["find", "find", "find"]


@pytest.mark.parametrize("messages", [1, 100])
def test_the_consumer_inserts_once_and_marks_once_for_all_messages_and_channels_of_a_batch(
    commands: Commands, mongo_url: str, messages: int
) -> None:
    database = mongo.connect(mongo_url, "notification-consumer")
    clock = mongo.DatabaseClock(database)
    clock()  # asks the database once in a while
    store, ways = NotificationStore(database, clock), channels(None, MAIL_FROM)
    notifier = Notifier(store, ways, RetryWhileUnavailable(Event()), clock, start_within=30.0)
    handle = partial(handle_messages, COMPOSER.notifications_of, notifier)
    commands.forget()
    outcomes = handle([FakeDelivery(json.dumps(event(f"order-{number}")).encode()) for number in range(messages)])
    assert (outcomes, commands.names) == ([DELIVERED] * messages, ["insert", "update"])
    assert database.notifications.count_documents({"status": "sent"}) == 2 * messages


def test_orders_are_read_as_the_majority_has_them(stack: Stack, commands: Commands) -> None:
    """No stock may be released and no event published because of a write that a new primary could roll back."""
    order_id = stack.order(key="k").json["id"]
    stack.order(key="k")
    stack.act(order_id, "cancel")
    stack.app.test_client().get("/orders", headers=ANA)
    reconcile(stack.worker(), min_age=0)
    stack.recover()
    reads = [command for _, name, command in commands.sent if name == "find" and command["find"] == "orders"]
    assert len(reads) >= 5
    assert all(command["readConcern"] == {"level": "majority"} for command in reads)


def test_a_product_by_its_id_takes_one_command(stack: Stack, commands: Commands) -> None:
    assert stack.products_app.test_client().get("/products/mug").status_code == 200
    assert commands.names == ["find"]


def test_a_signed_in_customer_is_known_without_a_call(stack: Stack, commands: Commands) -> None:
    assert stack.app.test_client().get("/orders", headers=ANA).status_code == 200
    assert (commands.names, stack.gate.seen) == (["find"], [])
