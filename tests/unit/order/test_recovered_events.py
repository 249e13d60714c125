"""The events of an order, made anew after a restore: the same as those that were published, and only those lacking."""

import json
from dataclasses import replace
from typing import Any

import pytest

from order_service.model import ALL_ORDERS, Order
from order_service.payments import SETTLE_STARTED_AFTER
from order_service.recovered_events import event_times, with_lacking_events
from order_service.told import InvalidHistory, Told, read_history
from tests.unit.order.order_app import ADMIN, ANA, FakeProvider, Shop, make_shop

TRACKING = {"carrier": "Parcel Post", "tracking_number": "PP1", "tracking_url": "https://parcels.example.com/PP1"}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch, FakeProvider(), payment_minutes=30.0)


def lived(shop: Shop, *steps: str) -> Order:
    """Return an order that has gone through these steps, a minute each; all its events wait in its outbox."""
    order_id = shop.ordered()
    for step in steps:
        shop.clock.move(60)
        if step == "pay":
            assert shop.pay(order_id).status_code == 200
        elif step == "ship":
            assert shop.client.post(f"/orders/{order_id}/ship", json=TRACKING, headers=ADMIN).status_code == 200
        elif step == "expire":
            shop.clock.move(1800)
            shop.worker.settler.settle_due(ALL_ORDERS)
        elif step == "refund":
            shop.clock.move(SETTLE_STARTED_AFTER)
            shop.worker.settler.next_run = 0.0
            shop.worker.settler.settle_due(ALL_ORDERS)
        else:
            headers = ANA if step == "cancel" else ADMIN
            action = step.removesuffix(" by an administrator")
            assert shop.act(order_id, action, headers).status_code == 200
    order = shop.store.find(order_id)
    assert order is not None
    return order


def published(order: Order) -> list[dict[str, Any]]:
    """Return the events as they were published, without the request and the place in a trace that caused each."""
    return [{n: value for n, value in event.items() if n not in ("requestid", "traceparent")} for event in order.outbox]


def told(order: Order, **statuses: str) -> Told:
    """Return what a buyer without a phone was told: the status of the mail of some events."""
    return Told(order.id, "ana", {f"{order.id}.{kind}:email": status for kind, status in statuses.items()})


def recovered(order: Order, known: Told | None = None, *, record_only: bool = False) -> list[dict[str, Any]]:
    return list(with_lacking_events(order, known, record_only=record_only).outbox)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        ["pay"],
        ["cancel"],
        ["cancel by an administrator"],
        ["expire"],
        ["pay", "ship"],
        ["pay", "ship", "deliver"],
        ["pay", "cancel", "refund"],
    ],
    ids=" ".join,
)
def test_the_events_are_those_that_were_published(shop: Shop, steps: list[str]) -> None:
    order = lived(shop, *steps)
    assert len(order.outbox) == len(steps) + 1
    assert recovered(replace(order, outbox=())) == published(order)


def test_an_order_of_version_1_0_has_the_events_of_its_status(shop: Shop) -> None:
    order = replace(lived(shop), status="delivered", history=(), updated_at=shop.clock.now)
    shop.clock.move(60)
    assert event_times(replace(order, updated_at=shop.clock())) == {
        "order_created": order.created_at,
        "order_shipped": shop.clock.now,
        "order_delivered": shop.clock.now,
    }


@pytest.mark.parametrize("status", ["rejected", "failed"])
def test_an_order_that_was_never_confirmed_has_no_event(shop: Shop, status: str) -> None:
    order = replace(lived(shop), status=status, history=(), outbox=())
    assert recovered(order) == []


def test_only_what_the_history_lacks_is_put_back(shop: Shop) -> None:
    order = replace(lived(shop, "pay", "ship"), outbox=())
    lacking = recovered(order, told(order, order_created="sent", order_shipped="sent"))
    assert [event["type"] for event in lacking] == ["order_paid"]
    assert recovered(order, told(order, order_created="sent", order_paid="sent", order_shipped="sent")) == []


@pytest.mark.parametrize("status", ["pending", "sending", "failed"])
def test_a_notification_that_was_not_sent_is_tried_again(shop: Shop, status: str) -> None:
    order = replace(lived(shop), outbox=())
    assert [event["type"] for event in recovered(order, told(order, order_created=status))] == ["order_created"]


def test_a_buyer_with_a_phone_needs_both_notifications(shop: Shop) -> None:
    order = lived(shop)
    assert order.buyer is not None
    with_phone = replace(order, outbox=(), buyer=replace(order.buyer, phone="+3222345678"))
    by_email = told(order, order_created="sent")
    assert recovered(replace(order, outbox=()), by_email) == []
    assert len(recovered(with_phone, by_email)) == 1
    by_email.statuses[f"{order.id}.order_created:sms"] = "sent"
    assert recovered(with_phone, by_email) == []


def test_an_event_that_waits_is_not_put_there_twice(shop: Shop) -> None:
    order = lived(shop, "pay")
    assert recovered(order) == list(order.outbox)
    assert recovered(replace(order, outbox=order.outbox[1:]))[1:] == [order.outbox[1]]


def test_to_record_only_marks_every_event_that_waits_and_to_send_removes_the_mark(shop: Shop) -> None:
    order = lived(shop, "pay")
    marked = with_lacking_events(order, told(order, order_created="sent"), record_only=True)
    assert [event.get("recordonly") for event in marked.outbox] == [True, True]
    assert recovered(marked) == list(order.outbox)


def test_to_record_only_does_not_call_a_failed_notification_sent(shop: Shop) -> None:
    order = replace(lived(shop), outbox=())
    assert recovered(order, told(order, order_created="failed"), record_only=True) == []
    assert len(recovered(order, told(order, order_created="sending"), record_only=True)) == 1


NOTIFICATION = {"kind": "notification", "order_id": "o", "user_id": "ana", "event_id": "o.order_paid", "status": "sent"}
END = {"kind": "dead_letters", "count": 0}


def test_the_history_is_read_by_order() -> None:
    created = {**NOTIFICATION, "event_id": "o.order_created"}
    records = [{**record, "channel": c} for record in (created, NOTIFICATION) for c in ("email", "sms")]
    history = read_history(json.dumps(record) for record in [*records, END])
    assert history == {
        "o": Told("o", "ana", {f"o.order_{what}:{c}": "sent" for what in ("created", "paid") for c in ("email", "sms")})
    }
    assert history["o"].event_types == ["order_created", "order_paid"]
    assert read_history([json.dumps(END)]) == {}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [json.dumps({**NOTIFICATION, "channel": "email"})],
        [json.dumps(NOTIFICATION), json.dumps(END)],
        [json.dumps({**NOTIFICATION, "channel": "email"})[:-5]],
        ["[]", json.dumps(END)],
        ["", json.dumps(END)],
        [json.dumps({"count": 0})],
    ],
    ids=["nothing", "without its end", "a record without its channel", "half a line", "no object", "blank", "no kind"],
)
def test_anything_but_a_whole_history_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidHistory, match="not complete"):
        read_history(lines)
