"""Stripe as payment provider, against a stand-in for its API that loses answers, refuses and hangs."""

import json
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
import stripe

from order_service.payment.model import Payment
from order_service.payment.provider import (
    AttemptEnded,
    CaptureResult,
    Charge,
    LedgerEntry,
    PaymentPending,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from order_service.payment.stripe_provider import StripeProvider
from order_service.payment.stripe_replies import has_two_decimals
from order_service.payment.stripe_webhook import InvalidSignature, read_webhook
from tests.at_once import at_once
from tests.fake_time import FakeTime
from tests.local_server import LocalServer, serving
from tests.unit.order.fake_stripe import ALREADY_REFUNDED, CARD, FakeStripe, Reply, error
from tests.unit.order.order_app import make_shop
from tests.unit.test_import_rules import run
from tests.waiting import until

ORDER = "0123456789abcdef0123456789abcdef"
KEY = f"{ORDER}.1"
CHARGE = Charge(ORDER, 1, 1999, "EUR", "pm_ok")
CAPTURED, NOT_COMPLETED = CaptureResult(True), CaptureResult(False, "The payment was not completed.")
CREATE, CONFIRM, REFUND = f"create create-{KEY}", f"confirm confirm-{KEY}", f"refund refund-{KEY}-0"
SECRET = "whsec_0123456789"


@pytest.fixture
def fake() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def server(fake: FakeStripe) -> Iterator[LocalServer]:
    with serving(fake) as server:
        yield server


@pytest.fixture
def provider(server: LocalServer) -> StripeProvider:
    return connect(server)


def connect(server: LocalServer, **options: Any) -> StripeProvider:
    return StripeProvider("sk_test_key", server.url, **({"timeout": (5.0, 5.0)} | options))


def nothing(_: str) -> None:
    """Save no reference."""


def forget_keys(fake: FakeStripe) -> None:
    """A day passes: Stripe keeps idempotency keys no longer."""
    fake.recorded.clear()


def opened(fake: FakeStripe, provider: StripeProvider, method: str = "pm_ok") -> Charge:
    """Return a charge whose PaymentIntent is created and not confirmed, because the process died after that."""

    def die(reference: str) -> None:
        references.append(reference)
        raise InterruptedError

    references: list[str] = []
    with pytest.raises(InterruptedError):
        provider.capture(replace(CHARGE, method=method), die)
    fake.calls.clear()
    return replace(CHARGE, method=method, reference=references[0])


def paid(fake: FakeStripe, provider: StripeProvider) -> Charge:
    charge = opened(fake, provider)
    assert provider.capture(charge, nothing) == CAPTURED
    fake.calls.clear()
    return charge


def test_a_charge_is_created_then_stored_then_confirmed(
    fake: FakeStripe, provider: StripeProvider, server: LocalServer
) -> None:
    stored: list[tuple[str, list[str]]] = []
    assert provider.capture(CHARGE, lambda reference: stored.append((reference, list(fake.calls)))) == CAPTURED
    assert stored == [("pi_1", [CREATE])]
    assert fake.calls == [CREATE, CONFIRM]
    create, confirm = ({**dict(parse_qsl(asked.body.decode()))} for asked in server.requests)
    assert create == {
        "amount": "1999",
        "currency": "eur",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "description": f"Order {ORDER}",
        "metadata[order_id]": ORDER,
        "metadata[attempt]": "1",
    }
    assert confirm == {"payment_method": "pm_ok", "error_on_requires_action": "true"}
    assert server.requests[1].path == "/v1/payment_intents/pi_1/confirm"
    assert server.requests[1].headers["Authorization"] == "Bearer sk_test_key"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_poor", "Your card has insufficient funds."),
        ("pm_stolen", "Your card was declined."),
        ("pm_3ds", "Your card was declined. It needs authentication."),
        ("pm_silent", "The payment was declined."),
    ],
)
def test_a_decline_has_stripes_message_for_the_buyer(
    method: str, reason: str, fake: FakeStripe, provider: StripeProvider
) -> None:
    assert provider.capture(replace(CHARGE, method=method), nothing) == CaptureResult(False, reason)
    assert fake.calls == [CREATE, CONFIRM]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_unknown", "The payment method is unknown."),
        ("pm_used", "Stripe does not accept this payment method."),
    ],
)
def test_a_refused_method_closes_the_charge(
    method: str, reason: str, fake: FakeStripe, provider: StripeProvider
) -> None:
    assert provider.capture(replace(CHARGE, method=method), nothing) == CaptureResult(False, reason)
    assert fake.calls == [CREATE, CONFIRM, "retrieve", "cancel"]
    assert fake.intents["pi_1"]["status"] == "canceled"


def test_a_charge_that_waits_for_the_buyer_is_closed(fake: FakeStripe, provider: StripeProvider) -> None:
    assert provider.capture(replace(CHARGE, method="pm_action"), nothing) == NOT_COMPLETED
    assert fake.calls == [CREATE, CONFIRM, "cancel"]


def test_an_attempt_that_ended_meanwhile_is_not_confirmed(fake: FakeStripe, provider: StripeProvider) -> None:
    def end(_: str) -> None:
        raise AttemptEnded

    with pytest.raises(AttemptEnded):
        provider.capture(CHARGE, end)
    assert (fake.calls, fake.captured) == ([CREATE], [])


def test_a_death_before_the_reference_is_stored_leads_to_the_same_payment_intent(
    fake: FakeStripe, provider: StripeProvider
) -> None:
    died_with = opened(fake, provider).reference
    stored: list[str] = []
    assert provider.capture(CHARGE, stored.append) == CAPTURED
    assert (stored, list(fake.intents)) == ([died_with], [died_with])


def test_a_death_before_the_confirmation_is_made_good_by_a_repeat(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = opened(fake, provider)
    assert provider.capture(charge, pytest.fail) == CAPTURED
    assert fake.calls == [CONFIRM]


def test_a_repeat_is_answered_from_stripes_record(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    assert provider.capture(charge, pytest.fail) == CAPTURED
    assert fake.calls == [CONFIRM]


def test_a_repeat_after_stripe_has_forgotten_the_key_captures_nothing_more(
    fake: FakeStripe, provider: StripeProvider
) -> None:
    charge = paid(fake, provider)
    forget_keys(fake)
    assert provider.capture(charge, pytest.fail) == CAPTURED
    assert fake.calls == [CONFIRM, "retrieve"]


def test_a_decline_is_repeated_too(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = opened(fake, provider, "pm_poor")
    assert provider.capture(charge, nothing) == provider.capture(charge, nothing)
    assert fake.calls == [CONFIRM, CONFIRM]


@pytest.mark.parametrize("find_out", ["look_up", "capture"])
def test_a_lost_answer_is_unknown_until_stripe_is_asked_again(
    find_out: str, fake: FakeStripe, provider: StripeProvider
) -> None:
    charge = opened(fake, provider)
    fake.faults["confirm"] = None
    with pytest.raises(ProviderUnavailable):
        provider.capture(charge, nothing)
    found = provider.look_up(charge) if find_out == "look_up" else provider.capture(charge, nothing)
    assert (found, fake.captured) == (CAPTURED, ["pi_1"])
    assert fake.calls == [CONFIRM, "retrieve" if find_out == "look_up" else CONFIRM]


def test_a_lost_answer_to_the_creation_leads_to_the_same_payment_intent(
    fake: FakeStripe, provider: StripeProvider
) -> None:
    fake.faults["create"] = None
    with pytest.raises(ProviderUnavailable):
        provider.capture(CHARGE, pytest.fail)
    assert provider.capture(CHARGE, nothing) == CAPTURED
    assert (fake.calls, list(fake.intents)) == ([CREATE, CREATE, CONFIRM], ["pi_1"])


def test_looking_up_without_a_reference_asks_nobody(fake: FakeStripe, provider: StripeProvider) -> None:
    assert provider.look_up(CHARGE) == NOT_COMPLETED
    assert fake.calls == []


def test_looking_up_cancels_what_was_not_confirmed_so_a_late_confirmation_is_refused(
    fake: FakeStripe, provider: StripeProvider
) -> None:
    charge = opened(fake, provider)
    assert provider.look_up(charge) == NOT_COMPLETED
    assert provider.look_up(charge) == NOT_COMPLETED
    assert provider.capture(charge, nothing) == NOT_COMPLETED
    assert fake.calls == ["retrieve", "cancel", "retrieve", CONFIRM, "retrieve"]
    assert fake.captured == []


def test_looking_up_closes_a_charge_whose_decline_was_lost(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = opened(fake, provider, "pm_poor")
    fake.faults["confirm"] = None
    with pytest.raises(ProviderUnavailable):
        provider.capture(charge, nothing)
    assert provider.look_up(charge) == NOT_COMPLETED
    assert fake.intents["pi_1"]["status"] == "canceled"


def test_a_charge_in_progress_is_unknown_and_is_not_cancelled(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = opened(fake, provider, "pm_processing")
    for ask in (lambda: provider.capture(charge, nothing), lambda: provider.look_up(charge)):
        with pytest.raises(PaymentPending, match="not decided"):
            ask()
    assert fake.calls == [CONFIRM, "retrieve"]
    fake.intents["pi_1"]["status"] = "succeeded"
    assert provider.look_up(charge) == CAPTURED


@pytest.mark.parametrize(("status", "found"), [("succeeded", CAPTURED), ("canceled", NOT_COMPLETED)])
def test_what_happens_just_before_the_cancellation_is_found(
    status: str, found: CaptureResult, fake: FakeStripe, provider: StripeProvider
) -> None:
    charge = opened(fake, provider)
    fake.before["cancel"] = lambda: fake.intents["pi_1"].update(status=status)
    assert provider.look_up(charge) == found
    assert fake.calls == ["retrieve", "cancel", "retrieve"]


def test_a_refused_cancellation_is_not_repeated_from_stripes_record(
    fake: FakeStripe, provider: StripeProvider, server: LocalServer
) -> None:
    charge = opened(fake, provider)
    server.requests.clear()
    for _ in range(2):
        fake.faults["cancel"] = error(500, "api_error", None)
        with pytest.raises(ProviderUnavailable):
            provider.look_up(charge)
    keys = [asked.headers["Idempotency-Key"] for asked in server.requests if asked.method == "POST"]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    "reply",
    [
        error(500, "api_error", None),
        error(503, "api_error", None),
        error(409, "idempotency_error", "idempotency_key_in_use"),
        error(400, "idempotency_error", None),
        error(429, "invalid_request_error", "lock_timeout"),
        error(429, "invalid_request_error", "rate_limit"),
        (502, {}),
        (200, {}),
    ],
)
@pytest.mark.parametrize("call", ["create", "confirm", "retrieve", "cancel", "refunds", "refund"])
def test_an_uncertain_answer_is_unknown(call: str, reply: Reply, fake: FakeStripe, provider: StripeProvider) -> None:
    asks: dict[str, Callable[[Charge], object]] = {
        "create": lambda charge: provider.capture(replace(charge, reference=None), pytest.fail),
        "confirm": lambda charge: provider.capture(charge, nothing),
        "retrieve": provider.look_up,
        "cancel": provider.look_up,
    }
    charge = opened(fake, provider)
    fake.faults[call] = reply
    with pytest.raises(ProviderUnavailable) as caught:
        asks.get(call, provider.refund)(charge)
    assert not isinstance(caught.value, ProviderMisconfigured)


def test_a_health_check_asks_stripe_once_a_minute_and_repeats_its_last_answer(
    fake: FakeStripe, provider: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_ = FakeTime()
    monkeypatch.setattr("order_service.payment.stripe_provider.time", time_)
    fake.faults["list"] = error(401, "invalid_request_error", None)
    for _ in range(3):
        with pytest.raises(ProviderMisconfigured, match="STRIPE_API_KEY"):
            provider.check()
    time_.sleep(61)
    for _ in range(3):
        provider.check()
    assert fake.calls == ["list", "list"]


@pytest.mark.parametrize(("key", "warned"), [("sk_test_1", True), ("rk_test_1", True), ("sk_live_1", False)])
def test_a_test_key_is_named_in_the_log_for_it_takes_no_money(
    server: LocalServer, caplog: pytest.LogCaptureFixture, key: str, warned: bool
) -> None:
    StripeProvider(key, server.url)
    assert ("no money is taken" in caplog.text, key in caplog.text) == (warned, False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_a_misconfiguration(status: int, fake: FakeStripe, provider: StripeProvider) -> None:
    charge = opened(fake, provider)
    for call, ask in (("retrieve", provider.look_up), ("refunds", provider.refund)):
        fake.faults[call] = error(status, "invalid_request_error", None)
        with pytest.raises(ProviderMisconfigured, match=f"STRIPE_API_KEY.*{status}"):
            ask(charge)


def test_a_refused_creation_is_a_misconfiguration(fake: FakeStripe, provider: StripeProvider) -> None:
    fake.faults["create"] = error(400, "invalid_request_error", None, "currency")
    with pytest.raises(ProviderMisconfigured, match=r"^Stripe creates no payment \(None, currency\)\.$"):
        provider.capture(CHARGE, pytest.fail)


def test_the_key_of_another_account_decides_nothing(
    fake: FakeStripe, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    charge = opened(fake, provider)
    fake.intents.clear()
    with pytest.raises(PaymentPending, match="rejects"):
        provider.look_up(charge)
    assert "InvalidRequestError, status 404, code resource_missing, param intent" in caplog.text


@pytest.mark.parametrize("currency", ["JPY", "jpy", "KRW", "KWD"])
def test_a_currency_without_hundredths_is_refused_before_anything_is_asked(
    currency: str, fake: FakeStripe, provider: StripeProvider
) -> None:
    with pytest.raises(ProviderMisconfigured, match="hundredths"):
        provider.capture(replace(CHARGE, currency=currency), pytest.fail)
    assert fake.calls == []


def test_usual_currencies_have_hundredths() -> None:
    assert all(has_two_decimals(currency) for currency in ("EUR", "USD", "GBP", "CHF", "PLN", "INR", "ISK", "UGX"))


@pytest.mark.parametrize("amount", [0, 49, 100_000_000])
def test_an_amount_that_stripe_does_not_take_is_declined(
    amount: int, fake: FakeStripe, provider: StripeProvider
) -> None:
    refused = CaptureResult(False, "Stripe takes no payment of this amount.")
    assert provider.capture(replace(CHARGE, amount=amount), pytest.fail) == refused
    assert (fake.calls, fake.intents) == ([CREATE], {})


def test_a_refund_gives_everything_back_once(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    provider.refund(charge)
    provider.refund(charge)
    assert [refund["amount"] for refund in fake.refunds] == [1999]
    assert fake.calls == ["refunds", REFUND, "refunds"]


def test_a_lost_answer_to_a_refund_is_found_in_the_list(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    fake.faults["refund"] = None
    with pytest.raises(ProviderUnavailable):
        provider.refund(charge)
    provider.refund(charge)
    assert [refund["amount"] for refund in fake.refunds] == [1999]
    assert fake.calls == ["refunds", REFUND, "refunds"]


def test_a_pending_refund_is_asked_for_until_it_has_succeeded(fake: FakeStripe, provider: StripeProvider) -> None:
    charge, fake.refund_status = paid(fake, provider), "pending"
    for _ in range(2):
        with pytest.raises(PaymentPending, match="not completed the refund"):
            provider.refund(charge)
    fake.refunds[0]["status"] = "succeeded"
    provider.refund(charge)
    assert fake.calls == ["refunds", REFUND, "refunds", "refunds"]


def test_a_failed_refund_is_followed_by_another(
    fake: FakeStripe, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    charge, fake.refund_status = paid(fake, provider), "failed"
    with pytest.raises(ProviderUnavailable):
        provider.refund(charge)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"the refund re_1 of order {ORDER} failed" in caplog.text
    fake.refund_status = "succeeded"
    provider.refund(charge)
    provider.refund(charge)
    assert [refund["status"] for refund in fake.refunds] == ["failed", "succeeded"]
    assert fake.calls == ["refunds", REFUND, "refunds", f"refund refund-{KEY}-1", "refunds"]


def test_a_refund_gives_back_what_a_person_has_left(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    fake.give_back("pi_1", 500)
    provider.refund(charge)
    assert [refund["amount"] for refund in fake.refunds] == [500, 1499]


def test_what_a_person_refunds_meanwhile_is_success(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    fake.before["refund"] = lambda: fake.give_back("pi_1", 1999)
    provider.refund(charge)
    assert (len(fake.refunds), fake.calls) == (1, ["refunds", REFUND, "refunds"])


def test_already_refunded_is_not_believed_while_the_refund_is_pending(
    fake: FakeStripe, provider: StripeProvider
) -> None:
    charge, fake.refund_status = paid(fake, provider), "pending"
    fake.before["refund"] = lambda: fake.give_back("pi_1", 1999)
    with pytest.raises(ProviderUnavailable):
        provider.refund(charge)
    assert ALREADY_REFUNDED[1]["error"]["code"] == "charge_already_refunded"


def test_two_workers_refund_once(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    at_once(4, lambda _: provider.refund(charge))
    assert [refund["amount"] for refund in fake.refunds] == [1999]


def test_a_disputed_charge_needs_a_person(
    fake: FakeStripe, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    charge = paid(fake, provider)
    fake.faults["refund"] = error(400, "invalid_request_error", "charge_disputed")
    with pytest.raises(ProviderUnavailable):
        provider.refund(charge)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "charge_disputed" in caplog.text


def test_a_refund_without_a_reference_refunds_nothing(fake: FakeStripe, provider: StripeProvider) -> None:
    with pytest.raises(ValueError, match="no reference"):
        provider.refund(CHARGE)
    assert fake.calls == []


def test_the_ledger_has_what_was_captured_for_this_shop(fake: FakeStripe, provider: StripeProvider) -> None:
    charge = paid(fake, provider)
    opened(fake, provider)
    fake.add(700, "succeeded", {})
    fake.add(800, "succeeded", {"order_id": "1042"})
    fake.add(900, "succeeded", {"order_id": ORDER})
    second = provider.capture(Charge(ORDER, 2, 2500, "EUR", "pm_ok"), nothing)
    fake.refund_status = "failed"
    fake.give_back("pi_1", 1999)
    fake.refund_status = "succeeded"
    provider.refund(charge)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    assert second == CAPTURED
    assert list(provider.ledger()) == [
        LedgerEntry(ORDER, 2, 2500, (), started.replace(second=4), "pi_5"),
        LedgerEntry(ORDER, 1, 1999, (1999,), started, "pi_1"),
    ]
    assert fake.calls.count("list") == 3


def test_the_ledger_needs_stripe(fake: FakeStripe, provider: StripeProvider) -> None:
    fake.faults["list"] = error(500, "api_error", None)
    with pytest.raises(ProviderUnavailable):
        list(provider.ledger())


def test_every_method_is_stripes_to_know(provider: StripeProvider) -> None:
    provider.check_method("pm_card_visa")


def test_a_silent_stripe_costs_a_payment_seconds(fake: FakeStripe) -> None:
    hanging = [True]
    with serving(fake) as server:
        provider = connect(server, timeout=(1.0, 1.5))
        fake.before["create"] = lambda: until(lambda: not hanging, "the test ends")
        started = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="certain"):
            provider.capture(CHARGE, pytest.fail)
        hanging.clear()
    assert 1.5 <= time.monotonic() - started < 5


def test_a_server_that_is_not_there_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda _: None) as server:
        provider = connect(server)
    with pytest.raises(ProviderUnavailable):
        provider.capture(CHARGE, pytest.fail)
    assert "APIConnectionError (ConnectionError), status None" in caplog.text


def test_threads_may_pay_at_once(fake: FakeStripe, server: LocalServer) -> None:
    provider = connect(server)
    charges = [replace(CHARGE, order_id=f"{number:032x}") for number in range(16)]
    assert at_once(4, lambda number: [provider.capture(c, nothing) for c in charges[number::4]]) == [[CAPTURED] * 4] * 4
    assert len(fake.captured) == 16


@pytest.mark.parametrize("method", ["pm_ok", "pm_poor", "pm_stolen", "pm_unknown", "pm_used"])
def test_nothing_of_a_card_is_logged_or_raised(
    method: str, fake: FakeStripe, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Even with the most talkative log."""
    caplog.set_level(logging.DEBUG)
    charge = opened(fake, provider, method)
    provider.capture(charge, nothing)
    asks = {"confirm": lambda: provider.capture(charge, nothing), "retrieve": lambda: provider.look_up(charge)}
    for call, ask in (asks | {"refunds": lambda: provider.refund(charge)}).items():
        for status in (400, 401, 403, 500) if call != "confirm" else (401, 403, 500):
            fake.faults[call] = error(status, "invalid_request_error", None)
            with pytest.raises(ProviderUnavailable) as caught:
                ask()
            assert CARD not in "".join(traceback.format_exception(caught.value))
    for secret in (CARD, method, "insufficient", "stolen", "sk_test_key"):
        assert secret not in caplog.text


def test_an_error_is_logged_with_what_finds_it_in_stripes_dashboard(
    fake: FakeStripe, provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    fake.faults["create"] = error(409, "idempotency_error", "idempotency_key_in_use")
    with pytest.raises(ProviderUnavailable):
        provider.capture(CHARGE, pytest.fail)
    assert "APIError, status 409, code idempotency_key_in_use, param None, request" in caplog.text


def test_stripes_library_is_loaded_only_by_its_provider() -> None:
    names = "order_service, order_service.worker, order_service.audit"
    run(f"import sys, {names}; sys.exit('stripe is loaded' if 'stripe' in sys.modules else 0)")


def test_stripes_library_leaves_nothing_in_the_home_directory(
    server: LocalServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: the library does so once per process, with its first request."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    script = f"""
from order_service.payment.provider import Charge
from order_service.payment.stripe_provider import StripeProvider
StripeProvider("sk", {server.url!r}).capture(Charge("o", 1, 100, "EUR", "pm_ok"), print)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, list(tmp_path.iterdir())) == ("pi_1\n", [])


def event(metadata: object, kind: str = "payment_intent.succeeded") -> bytes:
    body = {"id": "evt_1", "object": "event", "type": kind, "data": {"object": {"id": "pi_1", "metadata": metadata}}}
    return json.dumps(body).encode()


def signed(payload: bytes, secret: str = SECRET, *, age: float = 0.0) -> str:
    header: str = stripe.WebhookSignature.generate_signature_header(payload.decode(), secret, int(time.time() - age))
    return header


@pytest.mark.parametrize("kind", ["payment_intent.succeeded", "charge.refunded", "something.new"])
def test_a_webhook_names_its_order(kind: str) -> None:
    payload = event({"order_id": ORDER, "attempt": "1"}, kind)
    assert read_webhook(payload, signed(payload), SECRET) == ORDER
    assert read_webhook(payload, signed(payload, age=290), SECRET) == ORDER


@pytest.mark.parametrize(
    "payload",
    [
        event({}),
        event(None),
        event([]),
        event({"order_id": "1042"}),
        event({"order_id": {"$ne": 1}}),
        event({"order_id": ORDER + "\n"}),
        b"{}",
        b"[]",
        b"",
        b"not JSON",
        b'{"data": {"object": []}}',
    ],
)
def test_a_webhook_about_nothing_of_this_shop_names_no_order(payload: bytes) -> None:
    assert read_webhook(payload, signed(payload), SECRET) is None


PAYLOAD = event({"order_id": ORDER})


@pytest.mark.parametrize(
    ("payload", "signature", "secret"),
    [
        (PAYLOAD, "", SECRET),
        (PAYLOAD, "t=1", SECRET),
        (PAYLOAD, "v1=00", SECRET),
        (PAYLOAD, "nonsense", SECRET),
        (PAYLOAD, f"t={'9' * 5000},v1=00", SECRET),
        (PAYLOAD, f"t={int(time.time())},v1=ä", SECRET),
        (PAYLOAD, signed(PAYLOAD, "whsec_other"), SECRET),
        (PAYLOAD, signed(PAYLOAD).replace("v1=", "v0="), SECRET),
        (PAYLOAD, signed(PAYLOAD, age=310), SECRET),
        (PAYLOAD, signed(PAYLOAD, ""), ""),
        (PAYLOAD + b" ", signed(PAYLOAD), SECRET),
        (b"\xff", signed(b"-"), SECRET),
    ],
)
def test_an_unsigned_or_old_webhook_is_refused(payload: bytes, signature: str, secret: str) -> None:
    with pytest.raises(InvalidSignature) as caught:
        read_webhook(payload, signature, secret)
    assert (caught.value.status, caught.value.code) == (400, "invalid-signature")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("signature", "status"), [("right", 204), ("old", 400), ("another secret", 400), ("", 400), ("t=1,v1=x", 400)]
)
def test_the_route_lets_the_worker_ask_only_for_a_webhook_that_stripe_has_signed(
    monkeypatch: pytest.MonkeyPatch, signature: str, status: int
) -> None:
    settings = {"payment_provider": "stripe", "stripe_api_key": "sk_test_1", "stripe_webhook_secret": SECRET}
    shop = make_shop(monkeypatch, **settings)
    order_id = shop.ordered()
    open_payment = vars(Payment("unknown", 1, "stripe", "pm_ok", 3998)) | {"reference": "pi_1"}
    shop.database.orders.update_one({"_id": order_id}, {"$set": {"payment": open_payment}})
    before, payload = shop.document(order_id), event({"order_id": order_id})
    signatures = {
        "right": signed(payload),
        "old": signed(payload, age=301),
        "another secret": signed(payload, "whsec_2"),
    }
    headers = {"Stripe-Signature": signatures.get(signature, signature)}
    for _ in range(2):  # Stripe repeats what it has sent
        answer = shop.client.post("/payments/webhooks/stripe", data=payload, headers=headers)
        assert answer.status_code == status
    if status == 204:
        assert shop.document(order_id) == before | {"payment_due": shop.clock()}
    else:
        assert (answer.json["type"], shop.document(order_id)) == ("invalid-signature", before)
