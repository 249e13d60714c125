"""Several replicas of a service behind a balancer: new ones get their share, and one that stops refuses nobody."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.at_once import meanwhile
from tests.e2e.clients import Client, stock_of
from tests.e2e.conftest import SETTINGS
from tests.e2e.load import CUSTOMERS, Load, at_rest
from tests.e2e.shop import Shop, own_stack
from tests.waiting import until
from tools.stack import balancer, ports, replicas
from tools.stack.balancer import Balancer
from tools.stack.spec import Options
from tools.stack.stack import Stack

SHARE, WITHIN = 0.2, 60.0  # of the reservations since there are three replicas; s that it may take
PRE_STOP = 5.0  # s for which a pod that stops still gets new connections, as in deploy/kubernetes


@dataclass(frozen=True)
class ScaledShop:
    """A stack whose order-service reaches product-service through one balancer, and customers through another."""

    stack: Stack
    products: Balancer
    orders: Balancer


@pytest.fixture(scope="module")
def scaled(mongodb_program: str) -> Iterator[ScaledShop]:
    """A stack with one process per replica, as on Kubernetes."""
    with balancer.running(ports.free_ports(1)[0]) as products, balancer.running(ports.free_ports(1)[0]) as orders:
        settings = {**SETTINGS, "PRODUCT_SERVICE_URL": products.url, "WEB_CONCURRENCY": "1"}
        options = Options(settings=settings, mongodb=mongodb_program)
        with own_stack(options) as stack:
            products.serve([stack.ports["product-service"]])
            orders.serve([stack.ports["order-service"]])
            stack.up(stop_with_parent=True)
            yield ScaledShop(stack, products, orders)


@pytest.fixture(scope="module")
def stack(scaled: ScaledShop) -> Stack:
    return scaled.stack


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Shop:
    return Shop.of(stack)


def reservations_answered(port: int) -> int:
    """Return how many reservations a replica of product-service has answered."""
    page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
        and sample.labels["http_request_method"] == "PUT"
        and sample.labels["http_route"].startswith("/reservations/")
    )


def shares(numbers: list[int], before: list[int]) -> list[float]:
    """Return how much of the reservations since then each replica has answered."""
    counts = [reservations_answered(port) - old for port, old in zip(numbers, before, strict=True)]
    return [count / max(1, sum(counts)) for count in counts]


def test_new_replicas_get_their_share_within_a_minute_and_one_leaves_without_an_error(
    scaled: ScaledShop, customer: Client, product: Callable[[int], str]
) -> None:
    pots = [product(100_000) for _ in range(CUSTOMERS)]
    load, own = Load(customer, pots), scaled.stack.ports["product-service"]
    with load.running():
        until(lambda: len(load.orders) > 20, "orders are placed")
        with (
            replicas.running(scaled.stack, "product-service", 2) as second,
            replicas.running(scaled.stack, "product-service", 3) as third,
        ):
            numbers = [own, second.port, third.port]
            before = list(map(reservations_answered, numbers))
            scaled.products.serve(numbers)
            until(lambda: min(shares(numbers, before)) >= SHARE, "each has had its share", seconds=WITHIN)
            scaled.products.serve([own, third.port])
            assert second.stop() == 0
            placed = len(load.orders)
            until(lambda: len(load.orders) > placed + 100, "orders go on")
            scaled.products.serve([own])
            assert third.stop() == 0
        placed = len(load.orders)
        until(lambda: len(load.orders) > placed + 20, "orders go on")
    assert not load.broken, "\n".join(load.broken)
    assert set(load.answers) <= {"200", "201"}
    assert sum(stock_of(customer, pot) for pot in pots) == CUSTOMERS * 100_000 - len(load.orders)
    until(lambda: at_rest(scaled.stack), "every promise holds", seconds=60)


class Arrivals:
    """Customers who list their orders and place one, each time on a new connection through the balancer."""

    def __init__(self, scaled: ScaledShop, customer: Client, product_id: str) -> None:
        self.answers: Counter[str] = Counter()
        self.stop = threading.Event()
        self.headers = {"Authorization": f"Bearer {customer.tokens['access_token']}"}
        self.body = {"product_id": product_id, "quantity": 1}
        self._url = f"{scaled.orders.url}/orders"

    def arrive(self) -> None:
        """Connect again and again, until it is stopped."""
        while not self.stop.is_set():
            for method, body in (("GET", None), ("POST", self.body)):
                try:
                    answer = requests.request(method, self._url, json=body, headers=self.headers, timeout=30)
                    self.answers[str(answer.status_code)] += 1
                except requests.RequestException as exc:
                    self.answers[repr(exc)] += 1


def half_a_request(arrivals: Arrivals, port: int) -> tuple[socket.socket, bytes]:
    """Send the first half of an order; return the connection and the second half."""
    body = json.dumps(arrivals.body).encode()
    headers = {**arrivals.headers, "Host": "shop", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = ["POST /orders HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall("\r\n".join(lines).encode() + body[:10])
    return connection, body[10:]


def test_a_replica_that_stops_refuses_nobody_and_finishes_what_it_has_begun(
    scaled: ScaledShop, customer: Client, product: Callable[[int], str]
) -> None:
    arrivals, own = Arrivals(scaled, customer, product(100_000)), scaled.stack.ports["order-service"]
    with (
        replicas.running(scaled.stack, "order-service", 2) as second,
        meanwhile(arrivals.arrive, threads=4, stop=arrivals.stop),
    ):
        scaled.orders.serve([own, second.port])
        until(lambda: arrivals.answers["201"] > 20, "orders are placed")
        connection, rest = half_a_request(arrivals, second.port)
        with connection:
            time.sleep(PRE_STOP)  # Kubernetes has begun to take the pod out of the Service
            scaled.orders.serve([own])
            stopping = threading.Thread(target=second.stop)
            stopping.start()
            time.sleep(1)  # longer than gunicorn takes to begin its shutdown
            connection.sendall(rest)
            assert connection.recv(12) == b"HTTP/1.1 201"
        stopping.join(30)
        assert second.process.returncode == 0
        before = arrivals.answers["201"]
        until(lambda: arrivals.answers["201"] > before + 20, "orders go on")
    assert set(arrivals.answers) == {"200", "201"}
    until(lambda: at_rest(scaled.stack), "every promise holds", seconds=60)
