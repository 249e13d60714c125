"""The recovery after a restore, on its own: what it compares, what it repairs, and what it leaves to a person."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from order_service import restored_orders
from order_service.decisions import LOST_NOTE
from order_service.model import Order
from order_service.payment.model import Payment
from order_service.payment.provider import LedgerEntry
from order_service.product_client import ProductServiceUnavailable
from order_service.reconciler import StockReleaser
from order_service.restored_orders import Recovery
from order_service.store import RecoveryStore, documents
from order_service.store import recovery as store
from order_service.timings import Timings
from order_service.told import Told
from tests.clock import NOON
from tests.fake_time import FakeTime
from tests.unit.order.order_app import FakeProvider, Shop, make_shop


class Ledger(FakeProvider):
    """A payment provider with a ledger that a test writes."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[LedgerEntry] = []

    def ledger(self) -> Iterator[LedgerEntry]:
        yield from self.entries


@pytest.fixture
def provider() -> Ledger:
    return Ledger()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, provider: Ledger) -> Shop:
    shop = make_shop(monkeypatch, provider)
    shop.products.all_are_old = True
    return shop


def recovery(shop: Shop, *told: Told, **changed: Any) -> Recovery:
    parts: dict[str, Any] = {
        "orders": shop.store,
        "store": RecoveryStore(shop.database, shop.clock),  # type: ignore[arg-type]
        "cursor": shop.cursor,
        "products": shop.products,
        "releaser": StockReleaser(shop.store, shop.products, Misconfigurations(), Timings()),  # type: ignore[arg-type]
        "clock": shop.clock,
        "provider": shop.provider,
        "told": {each.order_id: each for each in told},
        "record_only": False,
    }
    return Recovery(**{**parts, **changed})


def recover(shop: Shop, *told: Told, **changed: Any) -> list[tuple[str, str]]:
    """Recover; return the decision and the order of each matter for a person."""
    return [(d["decide"], d["order_id"]) for d in recovery(shop, *told, **changed).run()]


def insert(shop: Shop, order: Order, **changed: Any) -> str:
    """Insert an order like this one, as another one of another time or status."""
    shop.database.orders.insert_one(documents.to_document(replace(order, **changed)))
    return str(changed["id"])


def an_order(shop: Shop) -> Order:
    order = shop.store.find(shop.ordered())
    assert order is not None
    return order


def test_scarce_units_go_to_orders_that_have_left_the_shop_and_then_to_the_oldest(shop: Shop) -> None:
    order = an_order(shop)
    shop.database.orders.delete_many({})
    shop.products.release(order.id)
    later = NOON.replace(hour=13)
    insert(shop, order, id="a-new", created_at=later)
    insert(shop, order, id="b-old")
    insert(shop, order, id="c-paid", status="paid", created_at=later)
    insert(shop, order, id="d-shipped", status="shipped", created_at=later)
    insert(shop, order, id="e-delivered", status="delivered", created_at=later)
    shop.products.stock["mug"] = 8
    assert recover(shop) == [("stock-missing", "a-new")]
    assert sorted(shop.products.held) == ["b-old", "c-paid", "d-shipped", "e-delivered"]
    assert "a-new" not in shop.products.refused, "a refusal would be kept, and refuse the repeat"


def test_a_person_is_not_asked_to_cancel_what_is_sent(shop: Shop) -> None:
    order = an_order(shop)
    shop.products.release(order.id)
    shop.products.stock.clear()
    (unsent,) = recovery(shop).run()
    shop.database.orders.update_one({}, {"$set": {"status": "shipped"}})
    (sent,) = recovery(shop).run()
    assert ("cancel" in unsent["can"], "cancel" in sent["can"]) == (True, False)


@pytest.mark.parametrize("reserved", [1, 3])
def test_a_reservation_that_differs_or_was_refused_before_is_left_to_a_person(shop: Shop, reserved: int) -> None:
    order = an_order(shop)
    shop.products.held.clear()
    refused = replace(order.items[0], quantity=reserved)
    shop.products.stock["mug"] = 0
    shop.products.reserve(order.id, (refused,) if reserved == 3 else order.items)
    shop.products.stock["mug"] = 10
    (decision,) = recovery(shop).run()
    assert (decision["decide"], decision["lines"]) == ("stock-missing", [])
    assert ("other lines" in decision["why"]) == (reserved == 3)
    assert shop.document(order.id)["status"] == "confirmed"


def test_the_stock_of_many_products_is_asked_for_in_parts(shop: Shop) -> None:
    ids = [f"p{number}" for number in range(120)]
    shop.products.stock |= dict.fromkeys(ids, 1)
    shop.products.prices |= dict.fromkeys(ids, 1)
    for start in (0, 60):
        items = [{"product_id": product_id, "quantity": 1} for product_id in ids[start : start + 60]]
        assert shop.post({"items": items}).status_code == 201
    shop.products.held.clear()
    shop.products.stock |= dict.fromkeys(ids, 1)
    assert recover(shop) == []
    assert len(shop.products.held) == 2


def test_every_page_of_orders_and_of_reservations_is_compared(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE", 2)
    shop.products.page_size = 2
    kept = [shop.ordered(1) for _ in range(5)]
    lost = sorted(shop.ordered(1) for _ in range(3))
    shop.database.orders.delete_many({"_id": {"$in": lost}})
    shop.database.orders.update_many({}, {"$set": {"outbox": []}, "$unset": {"due": ""}})
    shop.clock.move(60)
    run = recovery(shop)
    assert [decision["order_id"] for decision in run.run()] == lost
    assert (run.counts["compared"], run.counts["events"]) == (5, 5)
    assert sorted(shop.products.held) == sorted(kept)
    assert {shop.document(order_id)["due"] for order_id in kept} == {shop.clock()}
    assert [len(shop.document(order_id)["outbox"]) for order_id in kept] == [1] * 5


def test_the_worker_compares_all_reservations_again(shop: Shop) -> None:
    shop.ordered()
    shop.worker.reconciler.compare_page(0)
    assert shop.cursor.read() == "1"
    recover(shop)
    assert shop.cursor.read() is None


def test_a_lost_order_is_noted_as_failed_though_the_worker_was_faster(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.database.orders.delete_many({})
    while shop.worker.reconciler.compare_page(0) is not None:
        pass
    assert "note" not in shop.document(order_id)
    told = Told(order_id, "ana", {f"{order_id}.order_created:email": "sent"})
    assert recover(shop, told) == recover(shop, told) == [("order-lost", order_id)]
    assert (shop.document(order_id)["status"], shop.document(order_id)["note"]) == ("failed", LOST_NOTE)
    assert shop.products.stock["mug"] == 10


def test_an_order_that_only_the_history_knows_is_lost_and_one_that_was_refused_is_not(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = [("cancelled", "released"), ("rejected", "refused"), ("tombstone", "released")]
    monkeypatch.setattr(shop.products, "reservations", lambda **_options: (page, None))
    told = Told("cancelled", "ana", {"cancelled.order_cancelled:email": "sent"})
    assert recover(shop, told) == [("order-lost", "cancelled")]
    assert [document["_id"] for document in shop.documents()] == ["cancelled"]


def test_an_order_whose_reservation_was_released_takes_no_stock_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.ordered()
    shop.products.asked.clear()
    monkeypatch.setattr(shop.products, "reservations", lambda **_options: ([(order_id, "released")], None))
    assert recover(shop) == [("order-behind", order_id)]
    assert shop.products.asked == []


def test_an_order_that_changes_meanwhile_keeps_its_outbox_and_is_not_called_lost(shop: Shop) -> None:
    order, written = an_order(shop), RecoveryStore(shop.database, shop.clock)  # type: ignore[arg-type]
    shop.clock.move(1)
    shop.act(order.id, "cancel")
    before = shop.document(order.id)
    written.replace_outboxes([replace(order, outbox=())])
    written.note_lost(order.id, LOST_NOTE)
    assert shop.document(order.id) == before


def test_a_failed_order_that_nobody_was_told_of_is_not_called_lost(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.database.orders.update_one({}, {"$set": {"status": "failed"}})
    assert recover(shop) == []
    assert (shop.products.stock["mug"], "note" in shop.document(order_id)) == (10, False)


def test_the_audit_knows_a_lost_order_from_a_failed_one_and_from_one_with_a_note(shop: Shop) -> None:
    lost = shop.ordered()
    shop.database.orders.delete_many({})
    recover(shop)
    noted = shop.post({"product_id": "mug", "quantity": 1, "note": "Please ring twice."}).json["id"]
    assert {record["id"]: record["is_lost"] for record in shop.store.audit_records()} == {lost: True, noted: False}


def test_the_stock_of_an_order_that_has_ended_is_released(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.act(order_id, "cancel")
    shop.products.held[order_id] = ()
    assert recover(shop) == []
    assert (shop.products.held, shop.document(order_id).get("release")) == ({}, None)


def test_an_order_that_was_cancelled_since_does_not_take_stock_again(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.products.release(order_id)
    told = Told(order_id, "ana", {f"{order_id}.order_cancelled:email": "sent"})
    assert recover(shop, told) == [("order-behind", order_id)]
    assert shop.products.stock["mug"] == 10


@pytest.mark.parametrize("status", ["started", "unknown"])
def test_a_payment_that_the_worker_settles_is_not_called_behind(shop: Shop, status: str) -> None:
    order_id = shop.ordered()
    told = Told(order_id, "ana", {f"{order_id}.order_paid:email": "sent"})
    assert recover(shop, told) == [("order-behind", order_id)]
    payment = vars(Payment(status, 1, "fake", "pm_card_ok", 3998))
    shop.database.orders.update_one({}, {"$set": {"payment": payment}})
    assert recover(shop, told) == []


def paid(shop: Shop, status: str | None) -> str:
    """Place an order with a payment of this status."""
    order_id = shop.ordered()
    payment = vars(Payment(status, 2, "fake", "pm_card_ok", 3998)) if status else None
    shop.database.orders.update_one({}, {"$set": {"payment": payment}} if payment else {"$unset": {"payment": ""}})
    return order_id


@pytest.mark.parametrize(
    ("status", "attempt", "refunds", "astray"),
    [
        ("paid", 2, (), False),
        ("paid", 2, (3998,), True),
        ("paid", 1, (), True),
        ("paid", 1, (3998,), False),
        ("refunded", 2, (3998,), False),
        ("refunded", 2, (), True),
        ("refund_due", 2, (), False),
        ("refund_due", 2, (3998,), False),
        ("started", 2, (), False),
        ("unknown", 2, (3998,), False),
        ("declined", 2, (), True),
        ("declined", 3, (), True),
        (None, 1, (), True),
        (None, 1, (3998,), False),
    ],
)
def test_money_of_which_the_order_does_not_know_is_for_a_person(
    shop: Shop, provider: Ledger, status: str | None, attempt: int, refunds: tuple[int, ...], astray: bool
) -> None:
    order_id = paid(shop, status)
    provider.entries = [LedgerEntry(order_id, attempt, 3998, refunds, NOON)]
    decisions = recovery(shop).run()
    assert [decision["decide"] for decision in decisions] == (["money"] if astray else [])
    for decision in decisions:
        amounts = ("39.98", "39.98" if refunds else "0.00")
        assert (decision["attempt"], decision["taken"], decision["refunded"]) == (attempt, *amounts)
        assert decision["status"] == "confirmed"


def test_an_order_about_which_a_person_must_decide_does_not_expire(shop: Shop, provider: Ledger) -> None:
    behind, paid_later, unpaid = (shop.ordered(1) for _ in range(3))
    provider.entries = [LedgerEntry(paid_later, 1, 1999, (), NOON)]
    told = Told(behind, "ana", {f"{behind}.{event}:email": "sent" for event in ("order_created", "order_shipped")})
    assert recover(shop, told) == [("order-behind", behind), ("money", paid_later)]
    shop.clock.move(3600)
    shop.work()
    statuses = [shop.document(order_id)["status"] for order_id in (behind, paid_later, unpaid)]
    assert statuses == ["confirmed", "confirmed", "cancelled"]


def test_the_worker_asks_about_a_payment_whose_reference_the_backup_lacks(shop: Shop, provider: Ledger) -> None:
    order_id = shop.ordered(1)
    provider.loses_answers = True
    shop.pay(order_id)
    provider.loses_answers = False
    shop.database.orders.update_one({"_id": order_id}, {"$unset": {"payment.reference": ""}})
    provider.entries = [LedgerEntry(order_id, 1, 1999, (), NOON, f"reference of {order_id}.1")]
    assert recover(shop) == []
    shop.clock.move(60)
    shop.work()
    assert shop.document(order_id)["status"] == "paid"


def test_money_of_a_lost_order_is_for_a_person(shop: Shop, provider: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restored_orders, "CHARGES", 2)
    returned = [LedgerEntry(f"returned{number}", 1, 100, (60, 40), NOON) for number in range(4)]
    provider.entries = [*returned, LedgerEntry("gone", 1, 100, (), NOON)]
    (decision,) = recovery(shop).run()
    assert (decision["order_id"], decision["status"]) == ("gone", None)


def failing(times: int, answer: Any) -> Any:
    failures: Iterable[int] = iter(range(times))

    def call(**_options: Any) -> Any:
        for _ in failures:
            raise ProductServiceUnavailable
        return answer

    return call


@pytest.mark.parametrize(("failures", "succeeds"), [(30, True), (33, False)])
def test_the_recovery_waits_for_a_product_service_that_does_not_trust_the_new_key_yet(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, failures: int, succeeds: bool
) -> None:
    monkeypatch.setattr(restored_orders, "time", FakeTime())
    monkeypatch.setattr(shop.products, "reservations", failing(failures, ([], None)))
    if succeeds:
        assert recover(shop) == []
    else:
        with pytest.raises(Unavailable):
            recover(shop)


def test_a_release_that_fails_is_left_to_the_worker(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = shop.ordered()
    shop.database.orders.delete_many({})

    def release(_order_id: str) -> None:
        shop.clock.move(60)  # by now everything that failed before is due again
        assert shop.clock() < NOON.replace(hour=13), "it ends, and leaves the rest to the worker"
        raise ProductServiceUnavailable

    monkeypatch.setattr(shop.products, "release", release)
    assert recover(shop) == [("order-lost", order_id)]
    assert "release" in shop.document(order_id)
