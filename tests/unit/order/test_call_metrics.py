"""What the metrics say of the calls of product-service and of the payment provider."""

import socket
import threading
from contextlib import suppress
from typing import Any

import pytest

from chassis.errors import Unavailable
from order_service.payment.limits import ABANDONED_AFTER, CallLimiter
from order_service.payment.provider import ProviderUnavailable
from order_service.product_client import ProductServiceUnavailable
from tests.at_once import meanwhile
from tests.counted import counted, value
from tests.fake_time import FakeTime
from tests.local_server import Asked, serving
from tests.unit.order.order_app import FakeProvider, make_shop
from tests.unit.order.test_product_client import HELD, ITEMS, PROBLEM, answering, closing, frozen
from tests.waiting import until

CALLS = "shop_product_service_duration_seconds_count"
SHORT: dict[str, Any] = {"call_deadline": 0.5, "attempt_timeout": 0.2}  # too short for a second attempt


def no_token() -> str:
    raise Unavailable("user-service is away")


@pytest.mark.parametrize(("status", "outcome"), [(201, "answered"), (409, "answered"), (503, "error")])
def test_an_attempt_that_is_answered_counts_by_its_status(status: int, outcome: str) -> None:
    body = HELD if status == 201 else PROBLEM
    with answering((status, body), **SHORT) as (client, _), counted() as grown, suppress(ProductServiceUnavailable):
        client.reserve("o1", ITEMS)
    assert grown == {f"{CALLS} {outcome}": 1}


def test_each_attempt_of_a_call_counts() -> None:
    with answering((503, {}), (502, {}), (201, HELD)) as (client, _), counted() as grown:
        client.reserve("o1", ITEMS)
    assert grown == {f"{CALLS} error": 2, f"{CALLS} answered": 1}


def test_a_lost_answer_a_refused_connection_and_a_refused_token_count_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with frozen() as silent:
        for url, outcome in ((silent, "timeout"), (closed, "broken")):
            with closing(url, **SHORT) as client, counted() as grown, pytest.raises(ProductServiceUnavailable):
                client.reserve("o1", ITEMS)
            assert grown == {f"{CALLS} {outcome}": 1}
            assert client._circuit_breaker.is_open is (outcome == "timeout")
    with answering((401, {}), **SHORT) as (client, _), counted() as grown:
        pytest.raises(ProductServiceUnavailable, client.reserve, "o1", ITEMS)
    assert grown == {f"{CALLS} error": 1}


def test_without_a_token_nothing_is_sent_and_nothing_counted() -> None:
    with answering((201, HELD), token=no_token, **SHORT) as (client, asked), counted() as grown:
        pytest.raises(ProductServiceUnavailable, client.reserve, "o1", ITEMS)
    assert (grown, asked) == ({}, [])


def test_health_checks_are_no_calls() -> None:
    with answering((200, {"items": [], "next_cursor": None})) as (client, _), counted() as grown:
        client.check()
    assert grown == {}


def test_the_bulkhead_and_the_circuit_breaker_are_shown_and_a_call_without_a_place_counts_as_full() -> None:
    shown = []
    end = threading.Event()

    def answer(_asked: Asked) -> tuple[int, Any]:
        shown.append(value("shop_pool_busy product-service"))
        if len(shown) == 1:
            return 503, PROBLEM
        end.wait(30)
        return 201, HELD

    with serving(answer) as server, closing(server.url, max_concurrent=1) as client:
        assert [value(f"shop_pool_{name} product-service") for name in ("size", "busy")] == [1, 0]
        with meanwhile(lambda: client.reserve("o1", ITEMS)):
            until(lambda: len(shown) == 2, "the second attempt waits")
            assert value("shop_circuit_open product-service") == 1
            with counted() as grown:
                pytest.raises(ProductServiceUnavailable, client.reserve, "o2", ITEMS)
            assert grown == {f"{CALLS} full": 1}
            end.set()
        assert (shown, value("shop_pool_busy product-service")) == ([1, 1], 0)
        assert value("shop_circuit_open product-service") == 0


def test_the_places_of_the_worker_are_not_shown_because_it_uses_all_of_them_to_catch_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, shown = make_shop(monkeypatch, FakeProvider()), []
    for module in ("resilience", "payment.limits"):
        monkeypatch.setattr(f"order_service.{module}.Pool", lambda name, _size: shown.append(name))
    shop.make_worker(shop.heartbeat)
    with answering((201, HELD), pool="") as (client, _):
        client.reserve("o1", ITEMS)
    assert shown == []


def test_the_places_of_payments_are_shown_also_those_of_calls_that_were_given_up() -> None:
    clock, end = FakeTime(), threading.Event()
    limiter = CallLimiter(2, name="payment-provider", timeout=0.1, clock=clock)
    shown: list[float] = []
    with pytest.raises(ProviderUnavailable), limiter.place() as place:
        place.call(lambda: end.wait(30))
    shown.append(value("shop_pool_busy payment-provider"))
    with limiter.place():
        shown.append(value("shop_pool_busy payment-provider"))
    clock.sleep(ABANDONED_AFTER + 1)
    with limiter.place():
        shown.append(value("shop_pool_busy payment-provider"))
    end.set()
    until(lambda: value("shop_pool_busy payment-provider") == 0, "no place is taken")
    assert (shown, value("shop_pool_size payment-provider")) == ([1, 2, 1], 2)


def test_the_health_check_of_the_provider_takes_no_place_of_payments() -> None:
    CallLimiter(2, name="payment-provider")
    with CallLimiter(1).place():
        assert [value(f"shop_pool_{name} payment-provider") for name in ("size", "busy")] == [2, 0]
