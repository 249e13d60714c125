"""Paying an order: what each answer of the provider leads to, and what a crash, a race or a lost answer leaves."""

import time
from dataclasses import replace
from typing import Any

import pytest

from order_service.model import ALL_ORDERS
from order_service.payment.limits import CALL_TIMEOUT
from order_service.payment.model import Payment, PaymentTerms
from order_service.payment.provider import Charge, PaymentPending, ProviderUnavailable
from order_service.payment_settler import MAX_FAILURES
from order_service.payments import SETTLE_STARTED_AFTER, SETTLE_UNKNOWN_AFTER
from order_service.timings import Timings
from tests.unit.order.order_app import ADMIN, ANA, BOB, FakeProvider, Shop, make_shop

NOON = "2026-01-31T12:00:00.000Z"
TOTAL = "39.98"


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> Shop:
    return make_shop(monkeypatch, provider)


def payment(shop: Shop, order_id: str) -> dict[str, Any]:
    return dict(shop.document(order_id)["payment"])


def state(shop: Shop, order_id: str) -> tuple[str, str | None, int]:
    """Return the status of the order, that of its payment, and the number of the attempt."""
    document = shop.document(order_id)
    paid = document.get("payment", {})
    return document["status"], paid.get("status"), paid.get("attempt", 0)


def events_of(shop: Shop, order_id: str) -> list[str]:
    return [event["type"] for event in shop.document(order_id)["outbox"]]


def settle(shop: Shop, seconds: float = SETTLE_STARTED_AFTER) -> None:
    shop.clock.move(seconds)
    shop.worker.settler.next_run = shop.worker.settler.pause_until = 0.0
    shop.worker.settler.settle_due(ALL_ORDERS)


# --- Paying -----------------------------------------------------------------------------------------------------------


def test_a_payment_is_written_before_the_provider_is_called_and_after_it_has_answered(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    seen = []
    provider.meanwhile = lambda call: seen.append((call, *state(shop, order_id)))
    paid = shop.pay(order_id)
    assert seen == [("reference", "confirmed", "started", 1), ("capture", "confirmed", "started", 1)]
    assert paid.status_code == 200
    assert (paid.json["status"], paid.json["history"][-1]) == ("paid", {"status": "paid", "at": NOON, "by": "customer"})
    assert paid.json["payment"] == {
        "status": "paid",
        "method": "pm_card_ok",
        "amount": TOTAL,
        "paid_at": NOON,
        "refunded_at": None,
    }
    assert provider.captured == {f"{order_id}.1": 3998}
    assert events_of(shop, order_id) == ["order_created", "order_paid"]
    assert shop.document(order_id)["outbox"][1]["data"]["payment"] == {"method": "pm_card_ok", "amount": TOTAL}
    assert "payment_due" not in shop.document(order_id)


def test_a_paid_order_is_answered_again_and_never_paid_twice(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    first = shop.pay(order_id)
    assert [shop.pay(order_id, method).json for method in ("pm_card_ok", "pm_other")] == [first.json] * 2
    for action in ("ship", "deliver"):
        shop.act(order_id, action)
        assert (shop.pay(order_id).status_code, shop.pay(order_id).json["payment"]["status"]) == (200, "paid")
    assert provider.calls == [("capture", "1")]


def test_a_declined_payment_leaves_the_order_as_it_is_and_another_attempt_may_follow(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    provider.declines = True
    declined = shop.pay(order_id)
    assert (declined.status_code, declined.json["type"], declined.json["detail"]) == (402, "payment-declined", "No.")
    assert state(shop, order_id) == ("confirmed", "declined", 1)
    assert events_of(shop, order_id) == ["order_created"]
    provider.declines = False
    assert shop.pay(order_id, "pm_other").json["payment"]["method"] == "pm_other"
    assert (state(shop, order_id), provider.captured) == (("paid", "paid", 2), {f"{order_id}.2": 3998})


def test_a_payment_without_an_answer_is_503_and_the_worker_finds_out(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["type"]) == (503, "payment-provider-unavailable")
    assert "Retry-After" in answer.headers
    assert state(shop, order_id) == ("confirmed", "unknown", 1)
    provider.loses_answers = False
    settle(shop, SETTLE_UNKNOWN_AFTER)
    assert state(shop, order_id) == ("paid", "paid", 1)
    assert events_of(shop, order_id) == ["order_created", "order_paid"]
    assert shop.pay(order_id).status_code == 200


def test_a_repeat_while_the_attempt_is_unknown_repeats_it_with_its_own_method(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id, "pm_first")
    provider.loses_answers = False
    assert shop.pay(order_id, "pm_second").json["payment"]["method"] == "pm_first"
    assert provider.calls == [("capture", "1")] * 2
    assert (provider.captured, events_of(shop, order_id)) == (
        {f"{order_id}.1": 3998},
        ["order_created", "order_paid"],
    )


def test_while_the_provider_is_away_nothing_is_taken_and_the_look_up_frees_the_order(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    provider.away = True
    assert shop.pay(order_id).status_code == 503
    settle(shop)
    assert state(shop, order_id) == ("confirmed", "unknown", 1)
    provider.away = False
    settle(shop, Timings.settle_retry_delay)
    assert (state(shop, order_id), provider.calls) == (("confirmed", "declined", 1), [("look_up", "1")])
    assert shop.pay(order_id).status_code == 200
    assert provider.captured == {f"{order_id}.2": 3998}


def test_what_a_dead_request_has_started_is_settled_but_not_before_it_can_have_ended(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    die_after("capture", provider)
    assert shop.pay(order_id).status_code == 500
    assert state(shop, order_id) == ("confirmed", "started", 1)
    settle(shop, SETTLE_STARTED_AFTER - 1)
    assert state(shop, order_id) == ("confirmed", "started", 1)
    settle(shop, 1)
    assert state(shop, order_id) == ("paid", "paid", 1)


def die_after(call: str, provider: FakeProvider) -> None:
    """Let the request that makes this call end after the call's effect, by an error that nobody expects."""

    def die(name: str) -> None:
        if name == call:
            provider.meanwhile = lambda _call: None
            raise SystemError("dies")

    provider.meanwhile = die


# --- Races ------------------------------------------------------------------------------------------------------------


def test_an_order_that_is_cancelled_while_it_is_paid_is_refunded(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    during("capture", provider, lambda: shop.act(order_id, "cancel", ANA))
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["type"]) == (409, "wrong-state")
    assert state(shop, order_id) == ("cancelled", "refund_due", 1)
    settle(shop, 0)
    assert (state(shop, order_id), provider.refunds) == (("cancelled", "refunded", 1), [f"{order_id}.1"])
    assert events_of(shop, order_id) == ["order_created", "order_cancelled", "order_refunded"]


def test_cancelling_while_the_attempt_is_unknown_leaves_it_to_the_worker(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    assert shop.act(order_id, "cancel", ANA).json["payment"]["status"] == "unknown"
    provider.loses_answers = False
    settle(shop)
    assert state(shop, order_id) == ("cancelled", "refund_due", 1)
    settle(shop, 0)
    assert (state(shop, order_id), provider.refunds) == (("cancelled", "refunded", 1), [f"{order_id}.1"])


def test_a_cancelled_order_whose_attempt_took_nothing_needs_no_refund(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.away = True
    shop.pay(order_id)
    shop.act(order_id, "cancel", ANA)
    provider.away = False
    settle(shop)
    assert (state(shop, order_id), provider.refunds) == (("cancelled", "declined", 1), [])
    assert "payment_due" in shop.document(order_id)
    settle(shop, 3600)
    assert "payment_due" not in shop.document(order_id)


def test_a_look_up_that_comes_too_early_closes_the_attempt_and_nothing_is_taken(
    shop: Shop, provider: FakeProvider
) -> None:
    """The request has stored its reference, and stops before it captures; meanwhile the worker closes the attempt."""
    order_id = shop.ordered()
    during("reference", provider, lambda: settle(shop))
    answer = shop.pay(order_id)
    assert (answer.status_code, state(shop, order_id)) == (402, ("confirmed", "declined", 1))
    assert provider.captured == {}


def test_an_attempt_that_was_closed_before_its_reference_was_stored_captures_nothing(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.ordered()
    save = type(shop.payments).save_reference

    def late(*arguments: Any) -> bool:
        settle(shop)
        return bool(save(*arguments))

    monkeypatch.setattr(type(shop.payments), "save_reference", late)
    assert shop.pay(order_id).status_code == 402
    assert (state(shop, order_id), provider.captured) == (("confirmed", "declined", 1), {})


def test_a_look_up_without_a_reference_does_not_close_an_attempt_that_has_one_by_now(
    shop: Shop, provider: FakeProvider
) -> None:
    """The worker has read the attempt before its reference was stored, and writes after the money was taken."""
    order_id = shop.ordered()
    provider.away = True
    shop.pay(order_id)
    as_read = shop.store.find(order_id)
    provider.away, provider.loses_answers = False, True
    assert shop.pay(order_id).status_code == 503
    provider.loses_answers = False
    assert as_read
    shop.worker.settler.payments.settle(as_read)
    assert state(shop, order_id) == ("confirmed", "unknown", 1)
    settle(shop)
    assert state(shop, order_id) == ("paid", "paid", 1)


def test_an_attempt_that_loses_the_start_obeys_the_one_that_won(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.ordered()
    start, others = type(shop.payments).start, [lambda: shop.pay(order_id, "pm_other")]

    def late(*arguments: Any, **more: Any) -> bool:
        if others:
            others.pop()()
        return bool(start(*arguments, **more))

    monkeypatch.setattr(type(shop.payments), "start", late)
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["payment"]["method"]) == (200, "pm_other")
    assert provider.captured == {f"{order_id}.1": 3998}


@pytest.mark.parametrize("later", ["declined", "unknown", "paid", "cancelled"])
def test_an_attempt_starts_only_from_what_was_read(shop: Shop, provider: FakeProvider, later: str) -> None:
    """The request has read an order without a payment; meanwhile somebody has paid or cancelled it."""
    order_id = shop.ordered()
    as_read = shop.store.find(order_id)
    provider.declines, provider.loses_answers = later == "declined", later == "unknown"
    shop.act(order_id, "cancel", ANA) if later == "cancelled" else shop.pay(order_id)
    before = shop.document(order_id)
    assert as_read
    assert not shop.payments.start(as_read, Payment("started", 1, "fake", "pm_other", 3998), settle_after=15)
    assert shop.document(order_id) == before


@pytest.mark.parametrize("provider_of_admin", ["none", "fake"])
def test_an_order_is_not_shipped_while_a_payment_is_open(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, provider_of_admin: str
) -> None:
    """Also where the shop has no provider any more, so that an order need not be paid."""
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    if provider_of_admin == "none":
        orders = shop.app.extensions["orders"]
        monkeypatch.setitem(shop.app.extensions, "orders", replace(orders, terms=PaymentTerms()))
    assert shop.act(order_id, "ship").status_code == 409
    assert state(shop, order_id) == ("confirmed", "unknown", 1)


def test_what_is_found_out_of_an_earlier_attempt_is_not_written_over_the_present_one(shop: Shop) -> None:
    """Two workers look the first attempt up; one is slow, and meanwhile the buyer has begun the second attempt."""
    order_id = shop.ordered()
    order = shop.store.find(order_id)
    assert order
    first, second = (Payment("started", attempt, "fake", "pm_card_ok", 3998) for attempt in (1, 2))
    assert shop.payments.start(order, first, settle_after=15)
    charge = Charge(order_id, 1, 3998, "EUR", "pm_card_ok")
    shop.payments.settle_declined(charge, order.pay_by)
    assert shop.payments.start(replace(order, payment=replace(first, status="declined")), second, settle_after=15)
    before = shop.document(order_id)
    shop.payments.settle_declined(charge, order.pay_by)
    shop.payments.settle_captured(charge, {})
    shop.payments.mark_unknown(charge, settle_after=4)
    assert not shop.payments.save_reference(charge, "a reference")
    assert not shop.payments.repeat(charge, settle_after=15)
    assert shop.document(order_id) == before


def test_a_write_that_ran_twice_is_one_write(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("start", "repeat", "save_reference", "settle_captured", "mark_refunded"):
        real = getattr(type(shop.payments), name)

        def twice(*arguments: Any, real: Any = real, **more: Any) -> Any:
            real(*arguments, **more)
            return real(*arguments, **more)

        monkeypatch.setattr(type(shop.payments), name, twice)
    order_id = shop.ordered()
    assert shop.pay(order_id).status_code == 200
    shop.act(order_id, "cancel", ANA)
    settle(shop, 0)
    assert state(shop, order_id) == ("cancelled", "refunded", 1)
    assert events_of(shop, order_id) == ["order_created", "order_paid", "order_cancelled", "order_refunded"]


def during(call: str, provider: FakeProvider, action: Any) -> None:
    """Do something once, after the effect of a call to the provider and before its answer."""

    def act(name: str) -> None:
        if name == call:
            provider.meanwhile = lambda _call: None
            action()

    provider.meanwhile = act


def test_a_full_bulkhead_writes_nothing_because_nothing_is_sent(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    limiter = shop.app.extensions["payments"].limiter
    with limiter.place(), limiter.place():
        before = shop.document(order_id)
        answer = shop.pay(order_id)
        assert (answer.status_code, answer.json["type"]) == (503, "payment-provider-unavailable")
        assert (shop.document(order_id), provider.calls) == (before, [])
    assert shop.pay(order_id).status_code == 200


def test_a_repeat_takes_the_attempt_over_so_that_the_worker_does_not_close_it(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    provider.away = True
    shop.pay(order_id)
    provider.away = False
    during("reference", provider, lambda: settle(shop, SETTLE_UNKNOWN_AFTER))
    assert shop.pay(order_id).status_code == 200
    assert provider.calls == [("capture", "1")]


def test_a_second_request_that_fails_does_not_let_the_worker_close_the_first_ones_attempt(
    shop: Shop, provider: FakeProvider
) -> None:
    """A double click: while the first request captures, the second one gets no answer, and the worker comes."""
    order_id = shop.ordered()

    def second() -> None:
        provider.away = True
        assert shop.pay(order_id).status_code == 503
        provider.away = False
        settle(shop, CALL_TIMEOUT)  # the first request cannot take longer

    during("reference", provider, second)
    assert shop.pay(order_id).status_code == 200
    assert provider.calls == [("capture", "1")]


@pytest.mark.parametrize("status", ["shipped", "delivered"])
def test_money_for_an_order_that_an_earlier_version_has_shipped_meanwhile_is_recorded(
    shop: Shop, provider: FakeProvider, status: str
) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"status": status}})
    provider.loses_answers = False
    settle(shop)
    assert state(shop, order_id) == (status, "paid", 1)
    assert events_of(shop, order_id) == ["order_created", "order_paid"]
    assert "payment_due" not in shop.document(order_id)


def test_an_order_that_costs_nothing_is_shipped_without_a_payment_and_does_not_expire(
    shop: Shop, provider: FakeProvider
) -> None:
    shop.products.prices["mug"] = 0
    order_id = shop.ordered()
    assert (shop.pay(order_id).status_code, provider.calls) == (409, [])
    settle(shop, 10**6)
    assert shop.act(order_id, "ship").json["status"] == "shipped"


def test_a_misconfigured_provider_is_shown_to_the_operator_and_not_to_the_buyer(
    shop: Shop, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = shop.ordered()
    provider.refuses = True
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["type"]) == (503, "payment-provider-unavailable")
    assert "key" not in answer.text
    assert "misconfigured: the payment provider: The key is wrong." in caplog.text
    ready = shop.client.get("/ready").json
    assert ("payment-provider" in ready["degraded"], ready["refused"]) == (True, ["payment-provider"])
    provider.refuses = False
    assert "payment-provider" not in shop.client.get("/ready").json["degraded"]


# --- What follows from payments ---------------------------------------------------------------------------------------


def test_a_cancelled_paid_order_is_refunded_once_and_its_stock_returns(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    shop.pay(order_id)
    cancelled = shop.act(order_id, "cancel", ANA).json
    assert (cancelled["status"], cancelled["payment"]["status"]) == ("cancelled", "refund_due")
    assert shop.products.stock["mug"] == 10
    provider.loses_answers = True
    settle(shop, 0)
    assert state(shop, order_id) == ("cancelled", "refund_due", 1)
    provider.loses_answers = False
    settle(shop, Timings.settle_retry_delay)
    refunded = shop.get(f"/orders/{order_id}").json["payment"]
    assert (refunded["status"], refunded["paid_at"], refunded["refunded_at"]) == (
        "refunded",
        NOON,
        "2026-01-31T12:00:05.000Z",
    )
    assert provider.refunds == [f"{order_id}.1"]
    assert events_of(shop, order_id) == ["order_created", "order_paid", "order_cancelled", "order_refunded"]
    assert shop.pay(order_id).status_code == 409


def test_an_unpaid_order_is_not_shipped(shop: Shop) -> None:
    order_id = shop.ordered()
    answer = shop.act(order_id, "ship")
    assert (answer.status_code, answer.json["type"]) == (409, "payment-required")
    shop.pay(order_id)
    assert shop.act(order_id, "ship").json["status"] == "shipped"
    assert shop.act(order_id, "cancel", ANA).status_code == 409


def test_an_order_is_cancelled_when_it_was_not_paid_in_time(shop: Shop) -> None:
    order_id = shop.ordered()
    settle(shop, 30 * 60 - 1)
    assert state(shop, order_id) == ("confirmed", None, 0)
    settle(shop, 1)
    shop.work()
    cancelled = shop.get(f"/orders/{order_id}").json
    assert (cancelled["status"], cancelled["history"][-1]["by"]) == ("cancelled", "system")
    assert shop.publisher.published[-1]["data"]["reason"] == "unpaid"
    assert shop.products.stock["mug"] == 10
    settle(shop, 0)
    assert "payment_due" not in shop.document(order_id)


def test_an_order_is_also_cancelled_after_a_declined_payment(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.declines = True
    shop.pay(order_id)
    settle(shop, 30 * 60)
    assert state(shop, order_id) == ("cancelled", "declined", 1)


def test_an_order_is_not_cancelled_as_unpaid_while_a_payment_is_open(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    settle(shop, 30 * 60)
    assert state(shop, order_id) == ("confirmed", "unknown", 1)
    provider.loses_answers = False
    settle(shop, Timings.settle_retry_delay)
    assert state(shop, order_id) == ("paid", "paid", 1)


def test_a_payment_that_begins_while_the_order_expires_wins(shop: Shop, provider: FakeProvider) -> None:
    """The worker has read the unpaid order, and then somebody pays."""
    order_id = shop.ordered()
    shop.clock.move(30 * 60)
    order = shop.store.find(order_id)
    assert order
    shop.pay(order_id)
    shop.worker.settler.payments.settle(order)
    assert (state(shop, order_id), provider.refunds) == (("paid", "paid", 1), [])


def test_an_order_still_expires_if_its_payment_ended_while_the_worker_put_it_off(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up fails; meanwhile the buyer repeats and is declined, and the delay replaces the order's `pay_by`."""
    order_id = shop.ordered()
    provider.away = True
    shop.pay(order_id)

    def fail_late(_charge: Any) -> None:
        provider.away, provider.declines = False, True
        assert shop.pay(order_id).status_code == 402
        raise ProviderUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(provider, "look_up", fail_late)
        settle(shop)
    settle(shop, Timings.settle_retry_delay)
    assert state(shop, order_id) == ("confirmed", "declined", 1)
    settle(shop, 30 * 60)
    assert state(shop, order_id) == ("cancelled", "declined", 1)


def test_an_order_does_not_expire_by_a_look_at_it_from_before_its_payment_began(
    shop: Shop, provider: FakeProvider
) -> None:
    order_id = shop.ordered()
    shop.clock.move(30 * 60)
    unpaid = shop.store.find(order_id)
    provider.loses_answers = True
    shop.pay(order_id)
    assert unpaid
    shop.worker.settler.payments.settle(unpaid)
    assert state(shop, order_id) == ("confirmed", "unknown", 1)


def test_with_zero_minutes_an_order_may_stay_unpaid(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> None:
    shop = make_shop(monkeypatch, provider, payment_minutes=0)
    order_id = shop.ordered()
    provider.declines = True
    shop.pay(order_id)
    settle(shop, 10**7)
    document = shop.document(order_id)
    assert (document["status"], "pay_by" in document, "payment_due" in document) == ("confirmed", False, False)


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [BOB, ADMIN])
def test_an_order_is_paid_only_by_its_buyer(shop: Shop, provider: FakeProvider, headers: dict[str, str]) -> None:
    order_id = shop.ordered(headers=ANA)
    assert shop.pay(order_id, headers=headers).status_code == 404
    assert (provider.calls, state(shop, order_id)) == ([], ("confirmed", None, 0))


def test_an_administrator_pays_orders_of_their_own(shop: Shop) -> None:
    assert shop.pay(shop.ordered(headers=ADMIN), headers=ADMIN).status_code == 200


@pytest.mark.parametrize("status", ["cancelled", "rejected", "shipped"])
def test_an_order_that_is_not_confirmed_is_not_paid(shop: Shop, provider: FakeProvider, status: str) -> None:
    order_id = shop.ordered()
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"status": status}})
    before = shop.document(order_id)
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["type"]) == (409, "wrong-state")
    assert (shop.document(order_id), provider.calls) == (before, [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"payment_method": None}, 422),
        ({"payment_method": ""}, 422),
        ({"payment_method": {"$ne": ""}}, 422),
        ({"payment_method": "4242 4242 4242 4242"}, 422),
        ({"payment_method": "pm_" + "x" * 100}, 422),
        ({"payment_method": "pm_card_ok", "amount": "0.01"}, 422),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_and_its_values_are_not_repeated(
    shop: Shop, provider: FakeProvider, body: dict[str, Any], status: int
) -> None:
    order_id = shop.ordered()
    answer = shop.client.post(f"/orders/{order_id}/pay", json=body, headers=ANA)
    assert (answer.status_code, "4242" in answer.text) == (status, False)
    assert (provider.calls, state(shop, order_id)) == ([], ("confirmed", None, 0))


def test_without_a_provider_orders_are_not_paid_and_nothing_of_payments_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = make_shop(monkeypatch)
    order_id = shop.ordered()
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["type"]) == (409, "payments-disabled")
    assert {"payment", "payment_due", "pay_by"} & set(shop.document(order_id)) == set()
    assert shop.pay("none").status_code == 404
    assert shop.act(order_id, "ship").status_code == 200


def test_a_payment_through_another_provider_waits_until_that_is_set_again(shop: Shop, provider: FakeProvider) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    provider.loses_answers = False
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"payment.provider": "another"}})
    settle(shop)
    assert state(shop, order_id) == ("confirmed", "unknown", 1)
    assert list(shop.heartbeat.misconfigurations) == ["payments through another"]
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"payment.provider": "fake"}})
    settle(shop, Timings.settle_retry_delay)
    assert state(shop, order_id) == ("paid", "paid", 1)


# --- The worker -------------------------------------------------------------------------------------------------------


def test_a_payment_that_cannot_be_settled_does_not_stop_the_others(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.loses_answers = True
    orders = [shop.ordered(1) for _ in range(4)]
    for order_id in orders:
        shop.pay(order_id)
    provider.loses_answers = False
    look_up = provider.look_up

    def fail_for_the_first(charge: Any) -> Any:
        if charge.order_id == orders[0]:
            provider.away = True
        try:
            return look_up(charge)
        finally:
            provider.away = False

    monkeypatch.setattr(provider, "look_up", fail_for_the_first)
    settle(shop)
    assert [state(shop, order_id)[1] for order_id in orders] == ["unknown", "paid", "paid", "paid"]


def test_while_the_provider_is_away_the_worker_asks_it_rarely_and_unpaid_orders_still_expire(
    shop: Shop, provider: FakeProvider
) -> None:
    """Calls that are under way when the provider gets its pause still end."""
    provider.loses_answers = True
    for _ in range(20):
        shop.pay(shop.ordered(1, product_id="pen"))
    provider.calls.clear()
    unpaid = shop.ordered(1)
    shop.database.orders.update_one({"_id": unpaid}, {"$set": {"pay_by": shop.clock(), "payment_due": shop.clock()}})
    shop.clock.move(SETTLE_STARTED_AFTER)
    for _ in range(3):
        shop.worker.settler.settle_due(ALL_ORDERS)
    asked = len(provider.calls)
    assert MAX_FAILURES <= asked < MAX_FAILURES + shop.worker.settler.concurrent
    assert state(shop, unpaid)[0] == "cancelled"
    settle(shop, Timings.settle_retry_delay)
    assert 1 <= len(provider.calls) - asked <= shop.worker.settler.concurrent  # one failure suffices now


def test_what_the_provider_has_not_decided_yet_is_no_failure_and_is_asked_for_once_a_minute(
    shop: Shop, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [shop.ordered(1) for _ in range(5)]
    for order_id in orders:
        shop.pay(order_id)
        shop.act(order_id, "cancel")
    refund, pending = provider.refund, set(orders[:4])

    def wait(charge: Any) -> None:
        provider.calls.append(("refund", charge.order_id))
        if charge.order_id in pending:
            raise PaymentPending("The bank is thinking.")
        refund(charge)

    monkeypatch.setattr(provider, "refund", wait)
    settle(shop, 0)
    assert [state(shop, order_id)[1] for order_id in orders] == ["refund_due"] * 4 + ["refunded"]
    pending.clear()
    settle(shop, 59)
    assert state(shop, orders[0])[1] == "refund_due"
    settle(shop, 1)
    assert [state(shop, order_id)[1] for order_id in orders] == ["refunded"] * 5


def test_a_round_of_slow_settlements_ends_soon_so_that_events_need_not_wait(shop: Shop, provider: FakeProvider) -> None:
    provider.loses_answers = True
    for _ in range(20):
        shop.pay(shop.ordered(1, product_id="pen"))
    provider.loses_answers = False
    provider.calls.clear()
    shop.clock.move(SETTLE_STARTED_AFTER)
    provider.meanwhile = lambda _call: time.sleep(0.1)
    settler = shop.make_worker(shop.heartbeat, settle_budget=0.15).settler
    settler.settle_due(ALL_ORDERS)
    assert 1 <= len(provider.calls) <= 2 * settler.concurrent


def test_a_payment_with_an_unexpected_error_stops_neither_the_worker_nor_the_others(
    shop: Shop, provider: FakeProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = shop.ordered(1), shop.ordered(1)
    provider.loses_answers = True
    for order_id in (broken, fine):
        shop.pay(order_id)
    provider.loses_answers = False
    look_up = provider.look_up
    monkeypatch.setattr(provider, "look_up", lambda charge: look_up(charge) if charge.order_id == fine else 1 / 0)
    settle(shop)
    assert (state(shop, broken)[1], state(shop, fine)[1]) == ("unknown", "paid")
    assert "unexpected error" in caplog.text


def test_a_field_that_a_later_version_has_written_disturbs_nobody(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.pay(order_id)
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"payment.risk": "low", "user.title": "Dr"}})
    assert shop.get(f"/orders/{order_id}").json["payment"]["status"] == "paid"


def test_without_a_provider_the_worker_looks_now_and_then_whether_money_is_open(
    monkeypatch: pytest.MonkeyPatch, provider: FakeProvider
) -> None:
    """PAYMENT_PROVIDER was removed, or only the worker lacks it."""
    shop = make_shop(monkeypatch, provider)
    paid, unpaid = shop.ordered(1), shop.ordered(1)
    shop.pay(paid)
    shop.act(paid, "cancel")
    shop.clock.move(3600)
    shop.provider = None
    lone = shop.make_worker(shop.heartbeat)
    for _ in range(3):
        lone.work()
    assert list(shop.heartbeat.misconfigurations) == ["payments through fake"]
    assert (state(shop, paid)[1], state(shop, unpaid)[0]) == ("refund_due", "confirmed")
    settle(shop, Timings.settle_retry_delay)
    assert (state(shop, paid)[1], state(shop, unpaid)[0]) == ("refunded", "cancelled")
    assert not shop.heartbeat.misconfigurations


# --- Stripe's events --------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook(shop: Shop) -> Any:
    """Return a function that sends an event about an order; the signature is checked elsewhere."""
    shop.app.extensions["stripe_webhook"] = lambda payload, _signature: payload.decode() or None
    return lambda order_id: shop.client.post("/payments/webhooks/stripe", data=order_id).status_code


def test_an_event_of_stripe_only_makes_the_worker_ask(shop: Shop, provider: FakeProvider, webhook: Any) -> None:
    order_id = shop.ordered()
    provider.loses_answers = True
    shop.pay(order_id)
    provider.loses_answers = False
    provider.calls.clear()
    assert webhook(order_id) == 204
    assert (provider.calls, state(shop, order_id)) == ([], ("confirmed", "unknown", 1))
    settle(shop, 0)
    assert state(shop, order_id) == ("paid", "paid", 1)


def test_an_event_about_an_earlier_attempt_does_not_close_the_one_that_is_under_way(
    shop: Shop, provider: FakeProvider, webhook: Any
) -> None:
    order_id = shop.ordered()
    provider.declines = True
    shop.pay(order_id)
    provider.declines = False

    def event() -> None:
        webhook(order_id)
        settle(shop, 0)

    during("reference", provider, event)
    assert (shop.pay(order_id).status_code, state(shop, order_id)) == (200, ("paid", "paid", 2))


@pytest.mark.parametrize("when", ["before", "after", "cancelled"])
def test_events_of_stripe_change_nothing_where_nothing_is_open(
    shop: Shop, provider: FakeProvider, webhook: Any, when: str
) -> None:
    order_id = shop.ordered()
    if when == "after":
        shop.pay(order_id)
    if when == "cancelled":
        shop.act(order_id, "cancel")
    before = shop.documents()
    calls = list(provider.calls)
    assert [webhook(about) for about in (order_id, order_id, "another-order", "")] == [204] * 4
    settle(shop, 0)
    assert (shop.documents(), provider.calls) == (before, calls)


def test_without_stripe_there_is_no_webhook(shop: Shop) -> None:
    answer = shop.client.post("/payments/webhooks/stripe", data=b"{}")
    assert (answer.status_code, answer.json["type"]) == (404, "not-found")
