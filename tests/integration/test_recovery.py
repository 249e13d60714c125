"""After a restore: any mixture of ages of the databases, and a broker that has lost its messages.

Each test ends with the audit of all promises. What a person must decide is compared as a whole list.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.order_stack import STOCK, a_product
from tests.integration.recovering import CommandFailed, RestoredShop, restore, restored_shop, save
from tools.stack.mongodb import MongoServer

TEXTS = ("why", "can", "noted_at")


@pytest.fixture
def shop(mongo_server: MongoServer, broker_url: str) -> Iterator[RestoredShop]:
    with restored_shop(mongo_server, broker_url) as shop:
        yield shop


def decided(shop: RestoredShop, *options: str) -> list[dict[str, Any]]:
    """Recover, and return what a person must decide, without the texts; each has them."""
    decisions = shop.recover(*options)
    assert all(decision["why"] and decision["can"] for decision in decisions)
    return [{name: value for name, value in d.items() if name not in TEXTS} for d in decisions]


def by_order(*decisions: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(decisions, key=lambda decision: str(decision["order_id"]))


def messages(order_id: str, *kinds: str) -> list[str]:
    return [f"{order_id}.order_{kind}:{channel}" for kind in kinds for channel in ("email", "sms")]


def test_products_older_than_orders_get_their_reservations_again(shop: RestoredShop) -> None:
    released, shipped, kept = shop.order(1), shop.order(1), shop.order(1)
    backup = save(shop.products)
    shop.stack.products.insert_one(a_product("cup"))
    shop.stack.products.update_one({"_id": "pen"}, {"$inc": {"stock": 5, "received": 5}})
    shop.act(released, "cancel")
    later, sent, gone = shop.order(3), shop.order(2), shop.order(1)
    shop.act(gone, "cancel")
    shop.act(shipped, "ship")
    shop.act(sent, "ship")
    too_many, delivered, unknown = shop.order(STOCK, "pen"), shop.order(4, "pen"), shop.order(1, "cup")
    shop.act(delivered, "ship")
    shop.act(delivered, "deliver")
    shop.settle()
    mails = shop.mails

    restore(shop.products, backup)
    missing = {"decide": "stock-missing", "user_id": "bob", "status": "confirmed"}
    expected = [
        {**missing, "order_id": too_many, "lines": [{"product_id": "pen", "requested": STOCK, "available": STOCK - 4}]},
        {**missing, "order_id": unknown, "lines": [{"product_id": "cup", "requested": 1, "available": None}]},
    ]
    assert decided(shop) == expected
    assert shop.stack.worker_state.find_one({"_id": "reconciliation"}) is None
    assert shop.stack.stock("mug") == STOCK - sum((1, 1, 3, 2))
    assert {shipped, kept, later, sent, delivered} == {
        reservation["_id"] for reservation in shop.stack.reservations.find({"state": "held"})
    }

    shop.stack.products.update_one({"_id": "pen"}, {"$inc": {"stock": 5, "received": 5}})
    assert decided(shop) == expected[1:]
    shop.act(unknown, "cancel")
    shop.settle()
    assert shop.violations() == {}
    assert shop.mails == mails + 1
    shop.stack.check_invariants()


def test_orders_older_than_the_rest_are_named_with_what_their_buyers_were_told(shop: RestoredShop) -> None:
    kept, cancelled, shipped = shop.order(), shop.order(), shop.order()
    shop.settle()
    backup = save(shop.orders)
    lost, undone = shop.order(2), shop.order(3)
    shop.act(cancelled, "cancel")
    shop.act(shipped, "ship")
    shop.act(undone, "cancel")
    shop.settle()
    told, mails = shop.told, shop.mails
    assert shop.stack.stock() == STOCK - 4

    restore(shop.orders, backup)
    behind = {"decide": "order-behind", "user_id": "bob", "status": "confirmed"}
    gone = {"decide": "order-lost", "user_id": "bob"}
    expected = [
        *by_order(
            {**behind, "order_id": cancelled, "told": ["order_cancelled"], "reservation": "released"},
            {**behind, "order_id": shipped, "told": ["order_shipped"], "reservation": "held"},
        ),
        *by_order(
            {**gone, "order_id": lost, "told": ["order_created"]},
            {**gone, "order_id": undone, "told": ["order_created", "order_cancelled"]},
        ),
    ]
    assert decided(shop) == expected
    assert decided(shop) == expected  # it is safe to repeat, and says the same
    assert shop.stack.stock() == STOCK - 2
    failed = {order["_id"] for order in shop.stack.orders.find({"status": "failed"})}
    assert failed == {lost, undone}

    shop.act(cancelled, "cancel")
    shop.act(shipped, "ship")
    shop.settle()
    assert (shop.told, shop.mails) == (told, mails)
    assert shop.violations() == {}
    assert shop.stack.states() == ["cancelled", "confirmed", "failed", "failed", "shipped"]
    assert shop.order(1) not in (kept, lost)


def test_orders_and_notifications_older_than_products_leave_no_stock_behind(shop: RestoredShop) -> None:
    shop.order()
    cancelled = shop.order()
    shop.settle()
    backups = save(shop.orders), save(shop.notifications)
    lost = shop.order(2)
    shop.act(cancelled, "cancel")
    shop.settle()

    restore(shop.orders, backups[0])
    restore(shop.notifications, backups[1])
    assert decided(shop) == [
        {
            "decide": "order-behind",
            "order_id": cancelled,
            "user_id": "bob",
            "status": "confirmed",
            "told": [],
            "reservation": "released",
        },
        {"decide": "order-lost", "order_id": lost, "user_id": None, "told": []},
    ]
    assert shop.stack.stock() == STOCK - 1
    shop.act(cancelled, "cancel")
    shop.settle()
    assert shop.violations() == {}


@pytest.mark.parametrize("option", ["--send", "--record-only"])
def test_notifications_older_than_orders_are_sent_or_recorded_once(shop: RestoredShop, option: str) -> None:
    old = shop.order()
    shop.settle()
    backup = save(shop.notifications)
    new = shop.order()
    shop.act(old, "ship")
    shop.settle()
    told, mails = shop.told, shop.mails
    assert mails == 3

    restore(shop.notifications, backup)
    for _ in range(2):
        assert decided(shop, option) == []
    shop.settle()
    assert shop.told == told == sorted(messages(old, "created", "shipped") + messages(new, "created"))
    assert shop.mails == mails + (2 if option == "--send" else 0)
    recorded = [document["_id"] for document in shop.notifications.notifications.find({"record_only": True})]
    expected = [] if option == "--send" else [*messages(old, "shipped"), *messages(new, "created")]
    assert sorted(recorded) == sorted(expected)
    assert shop.violations() == {}
    assert decided(shop, option) == []
    assert shop.stack.orders.count_documents({"outbox.0": {"$exists": True}}) == 0


def test_what_a_lost_broker_had_is_published_again(shop: RestoredShop) -> None:
    order_id = shop.order()
    shop.act(order_id, "cancel")
    shop.publish()
    assert shop.lose_the_broker() == ""
    shop.settle()
    assert (shop.told, shop.mails) == ([], 0)
    assert f"event {order_id}.order_cancelled: nobody was notified" in shop.violations()

    assert decided(shop) == []
    shop.settle()
    assert (shop.told, shop.mails) == (sorted(messages(order_id, "created", "cancelled")), 2)
    assert shop.violations() == {}


@pytest.mark.parametrize("cut", [lambda _history: "", lambda history: history.rpartition("\n{")[0], lambda _: "[]\n"])
def test_a_history_that_was_cut_off_is_refused_and_nothing_changes(shop: RestoredShop, cut: Any) -> None:
    shop.order()
    shop.settle()
    before = save(shop.orders)
    with pytest.raises(CommandFailed, match="not complete"):
        shop.recover(history=cut(shop.history()))
    assert save(shop.orders) == before
