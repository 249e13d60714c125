"""The audit finds what breaks a promise: each is broken in the database, found by name, and mended again."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymongo
import pytest

from tests.e2e.clients import Client, notifications_of
from tests.e2e.shop import Shop
from tests.waiting import until
from tools import audit
from tools.stack import Stack

Databases = pymongo.MongoClient[dict[str, Any]]
Order = dict[str, Any]


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Iterator[Databases]:
    lines = (stack.state / "admin.env").read_text().splitlines()
    url = dict(line.split("=", 1) for line in lines)["MONGO_URL"]
    with Databases(url) as client:
        yield client


@pytest.fixture(scope="module")
def order(shop: Shop, stack: Stack) -> Iterator[Order]:
    """An order in a shop at rest; each test mends what it breaks."""
    with closing(Client(shop).login(shop.admin_email, shop.admin_password)) as admin:
        pot = admin.post("/products", {"name": "Moka Pot", "price": "34.90", "stock": 5}).json()["id"]
    with closing(Client(shop).register(phone="+442079460000", name="Ada")) as customer:
        placed: Order = customer.post("/orders", {"product_id": pot, "quantity": 2}, Idempotency_Key="audit").json()
        notifications_of(customer, 2)
    until(lambda: not violations(stack), "the shop is at rest", seconds=60)
    yield placed
    assert not violations(stack)


def violations(stack: Stack) -> dict[str, list[str]]:
    """Return what the audit finds now, by the number of the promise."""
    checks = audit.look(audit.facts_of(stack), grace=0)
    return {check.promise[0]: check.violations for check in checks if check.violations}


def oversell(databases: Databases, order: Order) -> None:
    product_id = order["lines"][0]["product_id"]
    databases.product_service.products.update_one({"_id": product_id}, {"$inc": {"stock": 1}})


def lose_the_reservation(databases: Databases, order: Order) -> None:
    databases.product_service.reservations.update_one({"_id": order["id"]}, {"$set": {"lines.0.quantity": 1}})


def lose_the_notification(databases: Databases, order: Order) -> None:
    databases.notification_service.notifications.delete_many({"order_id": order["id"]})


def double_the_order(databases: Databases, order: Order) -> None:
    databases.order_service.orders.drop_index("idempotency_key_1")
    copy = databases.order_service.orders.find_one({"_id": order["id"]}) or {}
    databases.order_service.orders.insert_one(copy | {"_id": "copy"})


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


@pytest.mark.parametrize(
    ("plant", "promise"),
    [
        (oversell, "1"),
        (lose_the_reservation, "2"),
        (lose_the_notification, "2"),
        (double_the_order, "3"),
        (stick_the_stock, "4"),
        (notify_twice, "5"),
        (fail_but_hold, "6"),
        (show_to_somebody_else, "7"),
    ],
)
def test_a_broken_promise_is_found(
    stack: Stack, databases: Databases, order: Order, plant: Callable[[Databases, Order], None], promise: str
) -> None:
    collections = (
        databases.product_service.products,
        databases.product_service.reservations,
        databases.order_service.orders,
        databases.notification_service.notifications,
    )
    kept = [list(collection.find({})) for collection in collections]
    try:
        plant(databases, order)
        checks = audit.look(audit.facts_of(stack), grace=0)
        assert promise in {check.promise[0] for check in checks if check.violations}
        assert not audit.passed(checks)
    finally:
        restore(collections, kept)
        databases.order_service.orders.create_index("idempotency_key", unique=True, sparse=True)


def restore(collections: tuple[Any, ...], kept: list[list[dict[str, Any]]]) -> None:
    for collection, documents in zip(collections, kept, strict=True):
        ids = [document["_id"] for document in documents]
        collection.delete_many({"_id": {"$nin": ids}})
        for document in documents:
            collection.replace_one({"_id": document["_id"]}, document, upsert=True)
