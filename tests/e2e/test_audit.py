"""The audit finds every broken promise: a test breaks it in the database, the audit names it, the test repairs it.

And `./dev order` shows an order of the same quiescent shop.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pika
import pymongo
import pytest

from tests.e2e.clients import Client, notifications_of
from tests.e2e.shop import Shop
from tests.waiting import until
from tools.audit import command as audit
from tools.audit import snapshot
from tools.order import command as show_order
from tools.stack.stack import Stack

Databases = pymongo.MongoClient[dict[str, Any]]
Order = dict[str, Any]


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Iterator[Databases]:
    with Databases(stack.administrators()["MONGO_URL"]) as client:
        yield client


@pytest.fixture(scope="module")
def order(shop: Shop, stack: Stack) -> Iterator[Order]:
    """A paid order in a quiescent shop; each test repairs what it breaks.

    The worker is down meanwhile: it would release the stock of an order that is gone, if the audit let it.
    """
    with closing(Client(shop).login(shop.admin_email, shop.admin_password)) as admin:
        pot = admin.post("/products", {"name": "Moka Pot", "price": "34.90", "stock": 5}).json()["id"]
    with closing(Client(shop).register(phone="+442079460000", name="Ada")) as customer:
        placed: Order = customer.post("/orders", {"product_id": pot, "quantity": 2}, Idempotency_Key="audit").json()
        assert customer.post(f"/orders/{placed['id']}/pay", {"payment_method": "pm_card_ok"}).status_code == 200
        notifications_of(customer, 4)
    until(lambda: not violations(stack), "the shop is quiescent", seconds=60)
    stack.suspend("order-worker")
    try:
        yield placed
    finally:
        stack.resume("order-worker")
        stack.wait_until_ready()
    assert not violations(stack)


def violations(stack: Stack) -> dict[str, dict[str, str]]:
    """Return the violations that the audit finds now, by the number of the promise."""
    checks = audit.check_once(snapshot.reader(stack), grace=0)
    return {check.invariant[0]: check.violations for check in checks if check.violations}


def oversell(databases: Databases, order: Order) -> None:
    product_id = order["lines"][0]["product_id"]
    databases.product_service.products.update_one({"_id": product_id}, {"$inc": {"stock": 1}})


def lose_the_reservation(databases: Databases, order: Order) -> None:
    databases.product_service.reservations.update_one({"_id": order["id"]}, {"$set": {"lines.0.quantity": 1}})


def lose_the_notification(databases: Databases, order: Order) -> None:
    databases.notification_service.notifications.delete_many({"order_id": order["id"]})


def double_the_order(databases: Databases, order: Order) -> None:
    copy = databases.order_service.orders.find_one({"_id": order["id"]}) or {}
    databases.order_service.orders.insert_one(copy | {"_id": "copy"})


def publish_nothing(databases: Databases, order: Order) -> None:
    event = {"id": f"{order['id']}.order_shipped", "time": "2026-01-01T00:00:00.000Z"}
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": {"outbox": [event]}})


def forget_the_release(databases: Databases, order: Order) -> None:
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": {"release": True}})


def stick_the_stock(databases: Databases, order: Order) -> None:
    databases.order_service.orders.delete_one({"_id": order["id"]})


def notify_twice(databases: Databases, order: Order) -> None:
    copy = databases.notification_service.notifications.find_one({"order_id": order["id"]}) or {}
    databases.notification_service.notifications.insert_one(copy | {"_id": "copy"})


def fail_but_hold(databases: Databases, order: Order) -> None:
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": {"status": "failed"}})


def show_to_somebody_else(databases: Databases, order: Order) -> None:
    change = {"$set": {"user_id": "somebody-else"}}
    databases.notification_service.notifications.update_one({"order_id": order["id"]}, change)


def lose_the_money(databases: Databases, order: Order) -> None:
    databases.order_service.payment_ledger.delete_one({"order_id": order["id"]})


def capture_twice(databases: Databases, order: Order) -> None:
    copy = databases.order_service.payment_ledger.find_one({"order_id": order["id"]}) or {}
    databases.order_service.payment_ledger.insert_one(copy | {"_id": "copy", "attempt": 2})


def refund_what_stands(databases: Databases, order: Order) -> None:
    copy = databases.order_service.payment_ledger.find_one({"order_id": order["id"]}) or {}
    databases.order_service.payment_ledger.insert_one(copy | {"_id": "copy", "outcome": "refunded"})


def leave_the_payment_open(databases: Databases, order: Order) -> None:
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": {"payment.status": "unknown"}})


def forget_the_refund(databases: Databases, order: Order) -> None:
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": {"payment.status": "refund_due"}})


def keep_an_unpaid_order(databases: Databases, order: Order) -> None:
    late = {"status": "confirmed", "pay_by": datetime(2026, 1, 1, tzinfo=UTC)}
    databases.order_service.orders.update_one({"_id": order["id"]}, {"$set": late, "$unset": {"payment": ""}})


@pytest.mark.parametrize(
    ("plant", "promise"),
    [
        (oversell, "1"),
        (lose_the_reservation, "2"),
        (lose_the_notification, "2"),
        (publish_nothing, "2"),
        (double_the_order, "3"),
        (stick_the_stock, "4"),
        (forget_the_release, "4"),
        (notify_twice, "5"),
        (fail_but_hold, "6"),
        (show_to_somebody_else, "7"),
        (lose_the_money, "8"),
        (capture_twice, "8"),
        (refund_what_stands, "8"),
        (leave_the_payment_open, "8"),
        (forget_the_refund, "8"),
        (keep_an_unpaid_order, "8"),
    ],
)
def test_a_broken_promise_is_found(
    stack: Stack,
    databases: Databases,
    order: Order,
    plant: Callable[[Databases, Order], None],
    promise: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    collections = (
        databases.product_service.products,
        databases.product_service.reservations,
        databases.order_service.orders,
        databases.order_service.payment_ledger,
        databases.notification_service.notifications,
    )
    kept = [list(collection.find({})) for collection in collections]
    try:
        plant(databases, order)
        assert audit.main(stack, in_compose=False, grace=0) == 1
        assert f"VIOLATION of {promise} " in capsys.readouterr().out
    finally:
        restore(collections, kept)


def restore(collections: tuple[Any, ...], kept: list[list[dict[str, Any]]]) -> None:
    for collection, documents in zip(collections, kept, strict=True):
        ids = [document["_id"] for document in documents]
        collection.delete_many({"_id": {"$nin": ids}})
        for document in documents:
            collection.replace_one({"_id": document["_id"]}, document, upsert=True)


def test_dead_letters_are_counted_and_break_no_promise(stack: Stack, order: Order) -> None:
    def dead() -> int:
        checks = audit.check_once(snapshot.reader(stack), grace=0)
        assert audit.passed(checks)
        return checks[-1].compared

    before = dead()
    url = stack.administrators()["RABBITMQ_URL"]
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().basic_publish("", "notifications", b"this is no event")
        until(lambda: dead() == before + 1, "one more is counted")
        connection.channel().queue_purge("notifications.dead")


def test_all_that_is_known_of_an_order_is_shown(stack: Stack, order: Order, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_order.main(stack, order["id"], in_compose=False) == 0
    shown = capsys.readouterr().out
    for part in (
        "paid by customer",
        "held, recorded at",
        "paid: 69.80 by pm_card_ok (simulated)",
        "order_created  request",
        "order_paid  request",
        "email  sent",
        "sms  sent",
        "POST /orders 201",
        f"PUT /reservations/{order['id'][:8]}... 201",
        f"POST /orders/{order['id'][:8]}.../pay 200",
    ):
        assert part in shown, shown
    assert show_order.main(stack, "nothing", in_compose=False) == 1


def test_what_is_in_motion_is_no_violation() -> None:
    """A violation counts if two snapshots show it, even if its figures change meanwhile."""
    product = {"kind": "product", "id": "p", "stock": 1, "received": 1}
    held = iter([1, 2, 1, 0])
    read = {"product-service": lambda: [{**product, "held": next(held)}]}
    for broken in (True, False):
        (oversold, *_) = audit.check_twice(lambda service: read.get(service.name, list)(), grace=0)
        assert bool(oversold.violations) == broken


def test_a_promise_with_nothing_to_compare_is_named_and_does_not_pass() -> None:
    checks = audit.check_once(lambda _service: [], grace=0)
    assert not audit.passed(checks)
    lines = audit.report(checks).splitlines()
    assert [line.split()[4] for line in lines if line.startswith("NOTHING TO COMPARE for ")] == list("12345678")
