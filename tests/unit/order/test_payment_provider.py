"""The simulated payment provider, and the limits of any provider: time and threads."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import mongomock
import pytest

import order_service
from chassis.errors import Invalid
from chassis.logs import bind_request_id, request_id
from order_service.config import Settings
from order_service.payment.limits import ABANDONED_AFTER, CallLimiter
from order_service.payment.provider import CaptureResult, Charge, LedgerEntry, ProviderUnavailable
from order_service.payment.simulated import METHODS, SLOW_ANSWER, SimulatedProvider
from order_service.payments import SETTLE_UNKNOWN_AFTER
from order_service.store import PaymentLedger
from tests.at_once import meanwhile
from tests.clock import NOON, FakeClock
from tests.fake_time import FakeTime
from tests.unit.order.order_app import SETTINGS, Shop, make_shop
from tests.waiting import until


class BankTime:
    """The module `time` for the provider: it notes how long the provider slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture
def bank() -> PaymentLedger:
    return PaymentLedger(mongomock.MongoClient(tz_aware=True).orders, FakeClock())  # type: ignore[arg-type]


@pytest.fixture
def provider(bank: PaymentLedger) -> SimulatedProvider:
    return SimulatedProvider(bank, clock=BankTime())


def charge(method: str = "pm_card_ok", attempt: int = 1) -> Charge:
    return Charge("order-1", attempt, 3998, "EUR", method)


def capture(provider: SimulatedProvider, what: Charge) -> CaptureResult:
    return provider.capture(what, lambda _reference: None)


def ledger(provider: SimulatedProvider) -> list[LedgerEntry]:
    return list(provider.ledger())


def test_a_charge_is_captured_once_however_often_it_is_asked_for(provider: SimulatedProvider) -> None:
    assert [capture(provider, charge()).is_captured for _ in range(3)] == [True] * 3
    assert provider.look_up(charge()).is_captured
    assert ledger(provider) == [LedgerEntry("order-1", 1, 3998, (), NOON)]


def test_a_declined_charge_stays_declined(provider: SimulatedProvider) -> None:
    answers = [capture(provider, charge(method)) for method in ("pm_card_declined", "pm_card_ok")]
    assert [*answers, provider.look_up(charge())] == [CaptureResult(False, "The card was declined.")] * 3
    assert ledger(provider) == []


def test_a_look_up_closes_a_charge_that_the_provider_does_not_know(provider: SimulatedProvider) -> None:
    assert not provider.look_up(charge()).is_captured
    assert not capture(provider, charge()).is_captured
    assert capture(provider, charge(attempt=2)).is_captured
    assert [entry.attempt for entry in ledger(provider)] == [2]


def test_a_lost_answer_is_lost_once_and_the_money_is_taken(provider: SimulatedProvider) -> None:
    with pytest.raises(ProviderUnavailable):
        capture(provider, charge("pm_card_lost"))
    assert [entry.amount for entry in ledger(provider)] == [3998]
    assert capture(provider, charge("pm_card_lost")).is_captured


def test_a_slow_answer_takes_two_seconds(provider: SimulatedProvider) -> None:
    assert capture(provider, charge("pm_card_slow")).is_captured
    assert provider.clock.slept == SLOW_ANSWER == 2.0


def test_a_charge_is_refunded_once(provider: SimulatedProvider) -> None:
    capture(provider, charge())
    for _ in range(3):
        provider.refund(charge())
    assert [entry.refunds for entry in ledger(provider)] == [(3998,)]


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_"])
def test_an_unknown_method_is_refused_with_the_known_ones(provider: SimulatedProvider, method: str) -> None:
    with pytest.raises(Invalid) as refused:
        provider.check_method(method)
    message = refused.value.members["errors"][0]["message"]
    assert all(known in message for known in METHODS)


def test_on_a_bad_day_calls_fail_and_yet_nothing_is_captured_or_refunded_twice(bank: PaymentLedger) -> None:
    random.seed(1)
    provider = SimulatedProvider(bank, faults=0.3, clock=BankTime())
    failures, effects_of_failures = 0, 0
    for attempt in range(1, 101):
        provider.clock.now += 5
        before = len(list(bank.entries()))
        try:
            capture(provider, charge(attempt=attempt))
        except ProviderUnavailable:
            failures += 1
            effects_of_failures += len(list(bank.entries())) - before
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(provider, "faults", 0.0)
                if provider.look_up(charge(attempt=attempt)).is_captured:
                    provider.refund(charge(attempt=attempt))
    assert 20 <= failures <= 60
    assert 0 < effects_of_failures < failures  # some had lost their answers, for others the provider was away
    assert provider.clock.slept > 0
    assert len(list(bank.entries())) == 100 - failures + effects_of_failures
    assert sum(len(entry.refunds) for entry in bank.entries()) == effects_of_failures


def test_without_faults_nothing_fails_or_is_slow(provider: SimulatedProvider) -> None:
    for attempt in range(1, 101):
        provider.clock.now += 5
        assert capture(provider, charge(attempt=attempt)).is_captured
    assert provider.clock.slept == 0


# --- In the shop ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch, payment_provider="simulated")


@pytest.mark.parametrize(
    ("method", "status", "order_status"),
    [
        ("pm_card_ok", 200, "paid"),
        ("pm_card_declined", 402, "confirmed"),
        ("pm_card_lost", 503, "confirmed"),
        ("pm_card_unknown", 422, "confirmed"),
    ],
)
def test_each_method_does_what_its_name_says(shop: Shop, method: str, status: int, order_status: str) -> None:
    order_id = shop.ordered()
    assert shop.pay(order_id, method).status_code == status
    assert shop.get(f"/orders/{order_id}").json["status"] == order_status


def test_an_order_whose_answer_was_lost_becomes_paid_by_itself(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.pay(order_id, "pm_card_lost")
    shop.clock.move(SETTLE_UNKNOWN_AFTER)
    shop.work()
    assert shop.get(f"/orders/{order_id}").json["status"] == "paid"
    assert [event["type"] for event in shop.publisher.published] == ["order_created", "order_paid"]


@pytest.mark.parametrize("provider", ["simulated", "paypal", "Stripe"])
def test_production_accepts_no_provider_that_takes_no_money(provider: str) -> None:
    with pytest.raises(ValueError, match="payment_provider|PAYMENT_PROVIDER"):
        Settings(**{**SETTINGS.model_dump(), **PRODUCTION, "payment_provider": provider})


PRODUCTION = {"environment": "production", "mongo_url": "mongodb://a:b@host/orders"}


def test_production_sends_stripes_key_only_over_https() -> None:
    settings = {**SETTINGS.model_dump(), **PRODUCTION, "payment_provider": "stripe", "stripe_api_key": "sk_live_1"}
    with pytest.raises(ValueError, match="STRIPE_API_BASE|stripe_api_base"):
        Settings(**settings | {"stripe_api_base": "http://proxy:8080"})
    assert Settings(**settings).stripe_api_base == "https://api.stripe.com"


def test_stripe_needs_a_key() -> None:
    settings = {**SETTINGS.model_dump(), "payment_provider": "stripe"}
    with pytest.raises(ValueError, match="STRIPE_API_KEY|stripe_api_key"):
        Settings(**settings | {"stripe_api_key": ""})
    assert Settings(**settings | {"stripe_api_key": "sk_test_1"}).payment_provider == "stripe"
    assert Settings(**{**SETTINGS.model_dump(), **PRODUCTION}).payment_provider == "none"


# --- The limits -------------------------------------------------------------------------------------------------------


class Hanging:
    """A call that ends when a test lets it."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        assert self.end.wait(30)
        return "done"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    call = Hanging()
    yield call
    call.end.set()


def call_in(limiter: CallLimiter, function: Callable[[], Any]) -> Any:
    with limiter.place() as place:
        return place.call(function)


def test_a_call_is_given_up_after_its_timeout(hanging: Hanging) -> None:
    with pytest.raises(ProviderUnavailable, match="in time"):
        call_in(CallLimiter(1, timeout=0.1), hanging)


def test_calls_that_were_given_up_keep_their_places_so_that_a_hanging_provider_gets_no_more_threads(
    hanging: Hanging,
) -> None:
    limiter = CallLimiter(2, timeout=0.1)
    for reason in ("in time", "in time", "Too many", "Too many"):
        started = time.monotonic()
        with pytest.raises(ProviderUnavailable, match=reason):
            call_in(limiter, hanging)
        assert time.monotonic() - started < 1
    assert hanging.calls == 2
    hanging.end.set()
    assert call_in(limiter, hanging) == "done"


def test_a_place_is_held_until_the_block_ends_and_several_calls_may_follow_each_other() -> None:
    limiter = CallLimiter(1)
    with limiter.place() as place:
        assert [place.call(lambda: 1), place.call(lambda: 2)] == [1, 2]
        with pytest.raises(ProviderUnavailable, match="Too many"):
            call_in(limiter, lambda: 3)
    assert call_in(limiter, lambda: 4) == 4


def test_a_caller_waits_a_moment_for_a_place(hanging: Hanging) -> None:
    limiter = CallLimiter(1)
    with meanwhile(lambda: call_in(limiter, hanging)):
        until(lambda: hanging.calls == 1, "the place is taken")
        threading.Timer(0.1, hanging.end.set).start()
        assert call_in(limiter, lambda: "after") == "after"


def test_a_call_that_never_ends_loses_its_place_after_a_minute(
    hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeTime()
    limiter = CallLimiter(1, timeout=0.1, clock=clock)
    with pytest.raises(ProviderUnavailable, match="in time"):
        call_in(limiter, hanging)
    clock.sleep(ABANDONED_AFTER)
    with pytest.raises(ProviderUnavailable, match="Too many"):
        call_in(limiter, lambda: 1)
    clock.sleep(1)
    assert call_in(limiter, lambda: 1) == 1
    assert "abandoned" in caplog.text
    hanging.end.set()
    assert call_in(limiter, lambda: 2) == 2


def test_a_call_knows_the_request_and_an_error_reaches_the_caller() -> None:
    limiter = CallLimiter(1)
    with bind_request_id("request-7"):
        assert call_in(limiter, request_id.get) == "request-7"

    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        call_in(limiter, fail)
    assert call_in(limiter, lambda: 1) == 1


def test_without_a_thread_to_be_had_the_place_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    limiter = CallLimiter(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(ProviderUnavailable, match="too busy"):
                call_in(limiter, lambda: 1)
    assert call_in(limiter, lambda: 1) == 1


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (8, 2), (16, 4)])
def test_payments_take_a_quarter_of_the_threads(monkeypatch: pytest.MonkeyPatch, threads: int, share: int) -> None:
    make_shop(monkeypatch)
    shares: list[tuple[int, str]] = []
    monkeypatch.setattr("order_service.app.CallLimiter", lambda calls, *, name: shares.append((calls, name)))
    order_service.create_app(SETTINGS.model_copy(update={"web_threads": threads}))
    assert shares == [(share, "payment-provider")]
