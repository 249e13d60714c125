"""Promise 6: a dead or frozen neighbour costs only what needs it. Needs a stack whose parts can be killed."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from tests import freezing
from tests.e2e.clients import Client, notifications_of, stock_of
from tests.waiting import stalls, until
from tools.stack.stack import Stack

ORDERS = 10


@contextmanager
def down(stack: Stack, *names: str) -> Iterator[None]:
    for name in names:
        stack.suspend(name)
    try:
        yield
    finally:
        for name in names:
            stack.resume(name)
        stack.wait_until_ready()


@contextmanager
def frozen(stack: Stack, *names: str) -> Iterator[None]:
    try:
        with freezing.frozen(process for name in names for process in stack.processes(name)):
            yield
    finally:
        stack.wait_until_ready()


def order_times(customer: Client, product_id: str) -> list[float]:
    """Place orders, all of which must succeed, and return how long each took, in seconds."""
    times = []
    for _ in range(ORDERS):
        started = time.monotonic()
        answer = customer.post("/orders", {"product_id": product_id, "quantity": 1})
        assert answer.status_code == 201, answer.text
        times.append(time.monotonic() - started)
    return times


@pytest.mark.parametrize("outage", [down, frozen])
@pytest.mark.parametrize(
    "neighbours", [("rabbitmq",), ("notification-service", "notification-consumer"), ("user-service",)]
)
def test_orders_do_not_notice_an_outage_of(
    stack: Stack,
    customer: Client,
    product: Callable[[int], str],
    outage: Callable[..., Iterator[None]],
    neighbours: tuple[str, ...],
) -> None:
    pot = product(1000)
    usual = sorted(order_times(customer, pot))[ORDERS // 2]
    with outage(stack, *neighbours):
        during = sorted(order_times(customer, pot))[ORDERS // 2]
    assert during < 3 * usual + 0.1
    assert stock_of(customer, pot) == 1000 - 2 * ORDERS
    until(
        lambda: len(customer.get("/notifications?limit=100").json()["items"]) == 2 * 2 * ORDERS,
        "every order is notified",
        seconds=90,
    )


def test_while_the_broker_is_away_for_a_minute_orders_succeed_and_their_notifications_come_afterwards(
    stack: Stack, customer: Client, product: Callable[[int], str]
) -> None:
    pot, orders = product(1000), 0
    with down(stack, "rabbitmq"):
        over = time.monotonic() + 60
        while time.monotonic() < over:
            assert customer.post("/orders", {"product_id": pot, "quantity": 1}).status_code == 201
            orders += 1
            time.sleep(2)
    until(
        lambda: len(customer.get("/notifications?limit=100").json()["items"]) == 2 * orders,
        "every order is notified",
        seconds=90,
    )
    assert stock_of(customer, pot) == 1000 - orders


@pytest.mark.parametrize(
    ("missing", "program", "told"),
    [
        ("user-service", "product-service", "dependency user-service cannot be used: "),
        ("rabbitmq", "order-worker", "events wait in the outbox until RabbitMQ is back: "),
        ("rabbitmq", "notification-consumer", "connection to RabbitMQ lost, reconnecting: "),
    ],
)
def test_a_program_that_misses_a_neighbour_at_its_start_says_so(
    stack: Stack, missing: str, program: str, told: str
) -> None:
    log = stack.state / "logs" / f"{program}.log"
    with down(stack, missing):
        stack.suspend(program)
        until(lambda: not stack.pids(program), "it has ended")
        known = log.stat().st_size
        stack.resume(program)
        until(lambda: told in log.read_text()[known:], "it names what is missing", seconds=90)


@pytest.mark.parametrize("outage", [down, frozen])
def test_without_product_service_orders_are_refused_promptly_and_nothing_leaks(
    stack: Stack, customer: Client, product: Callable[[int], str], outage: Callable[..., Iterator[None]]
) -> None:
    pot = product(5)
    with outage(stack, "product-service"), stalls() as stalled:
        started = time.monotonic()
        answer = customer.post("/orders", {"product_id": pot, "quantity": 1}, Idempotency_Key="again")
        assert (answer.status_code, time.monotonic() - started < 5 + max(stalled)) == (503, True)
        assert int(answer.headers["Retry-After"]) > 0
        without_key = customer.post("/orders", {"product_id": pot, "quantity": 1})
        assert (without_key.status_code, without_key.json()["type"]) == (503, "order-not-placed")
        assert customer.get("/orders").json()["items"] == []

    def placed_again() -> bool:
        answer = customer.post("/orders", {"product_id": pot, "quantity": 1}, Idempotency_Key="again")
        return answer.status_code == 201

    until(placed_again, "the same key succeeds")
    until(lambda: stock_of(customer, pot) == 4, "only the placed order holds stock")


def test_while_product_service_is_frozen_listing_orders_keeps_its_threads(
    stack: Stack, customer: Client, product: Callable[[int], str]
) -> None:
    pot = product(5)
    token = dict(customer._session.headers)
    url = customer._urls["orders"] + "/orders"

    def place(_: int) -> int:
        body = {"product_id": pot, "quantity": 1}
        return requests.post(url, json=body, headers=token, timeout=30).status_code

    with frozen(stack, "product-service"), ThreadPoolExecutor(40) as pool:
        answers = pool.map(place, range(40))
        time.sleep(0.3)  # all forty are on their way
        with stalls() as stalled:
            slowest = 0.0
            for _ in range(10):
                started = time.monotonic()
                assert customer.get("/orders").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
        assert set(answers) == {503}
    assert slowest < 2.5 + max(stalled)
    until(lambda: stock_of(customer, pot) == 5, "nothing is held")


def test_a_database_outage_answers_503_with_retry_after_and_heals(
    stack: Stack, customer: Client, product: Callable[[int], str]
) -> None:
    pot = product(5)
    with down(stack, "mongodb"):
        for path in ("/orders", f"/products/{pot}", "/notifications", "/users/me"):
            answer = customer.get(path)
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), path
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert requests.get(customer._user_url + "/health", timeout=5).status_code == 200
        assert requests.get(customer._user_url + "/ready", timeout=10).status_code == 503

    def placed() -> bool:
        return customer.post("/orders", {"product_id": pot, "quantity": 1}, Idempotency_Key="k").status_code == 201

    until(placed, "the server, which answers already, is primary again")
    assert len(notifications_of(customer, 2)) == 2
