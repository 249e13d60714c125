"""What a running container can do and whom it reaches; only where the shop runs under docker compose."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.e2e.clients import Client, stock_of
from tests.e2e.shop import Shop
from tests.waiting import until
from tools.paths import ROOT

PYTHON = ("product-service", "user-service", "order-service", "order-worker", "notification-service")
CONSUMER = "notification-consumer"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
PORTS = {
    "mongodb": "27017",
    "rabbitmq": "5672",
    "product-service": "5001",
    "user-service": "5002",
    "order-service": "5003",
    "notification-service": "5004",
}


@pytest.fixture(autouse=True)
def _in_compose(shop: Shop) -> None:
    if "COMPOSE_PROJECT_NAME" not in os.environ:
        pytest.skip("these are no containers")
    assert shop.stack is None


def inside(service: str, *command: str) -> subprocess.CompletedProcess[str]:
    execute = ["docker", "compose", "exec", "-T", service, *command]
    return subprocess.run(execute, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("service", [*PYTHON, CONSUMER, "gateway", "mongodb", "rabbitmq"])
def test_nobody_is_root_or_may_become_it(service: str) -> None:
    status = dict(line.split(":\t", 1) for line in inside(service, "cat", "/proc/1/status").stdout.splitlines())
    assert "0" not in status["Uid"].split()
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", [*PYTHON, CONSUMER, "gateway", "mongodb"])
def test_the_root_file_system_is_read_only(service: str) -> None:
    refused = inside(service, "sh", "-c", "cat /proc/mounts")
    root = next(line.split() for line in refused.stdout.splitlines() if line.split()[1] == "/")
    assert "ro" in root[3].split(",")


@pytest.mark.parametrize(
    ("service", "other"),
    [
        ("order-service", "product-service"),
        ("product-service", "mongodb"),
        ("order-worker", "rabbitmq"),
        ("notification-service", "user-service"),
        (CONSUMER, "rabbitmq"),
    ],
)
def test_neighbours_are_reached(service: str, other: str) -> None:
    done = inside(service, "python", "-c", CONNECT, other, PORTS[other])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("service", "other"),
    [
        ("order-service", "rabbitmq"),
        ("order-service", "notification-service"),
        ("product-service", "notification-service"),
        ("product-service", "rabbitmq"),
        ("user-service", "rabbitmq"),
        ("notification-service", "product-service"),
        ("notification-service", "order-service"),
        ("notification-service", "rabbitmq"),
        (CONSUMER, "user-service"),
        (CONSUMER, "product-service"),
    ],
)
def test_nobody_else_is(service: str, other: str) -> None:
    done = inside(service, "python", "-c", CONNECT, other, PORTS[other])
    assert done.returncode == 1
    assert "gaierror" in done.stderr, done.stderr


def test_three_containers_of_order_service_share_the_orders(customer: Client, product: Callable[[int], str]) -> None:
    """A customer notices neither that there are more of them nor that there are fewer again."""
    pot, orders, busy = product(1000), 0, set[str]()

    def order() -> int:
        nonlocal orders
        answer = customer.post("/orders", {"product_id": pot, "quantity": 1})
        assert answer.status_code == 201, answer.text
        orders += 1
        busy.update(containers_that_logged(answer.headers["X-Request-ID"]))
        return len(busy)

    try:
        scale(3)
        until(lambda: order() == 3, "each of the three has placed an order", seconds=60)
    finally:
        scale(1)
    assert [order() for _ in range(5)] == [3] * 5
    assert stock_of(customer, pot) == 1000 - orders


def scale(number: int) -> None:
    command = ["docker", "compose", "up", "--detach", "--no-build", "--no-recreate", "--wait"]
    subprocess.run([*command, "--scale", f"order-service={number}"], cwd=ROOT, check=True, timeout=180)
    until(lambda: len(answering_containers()) == number, "so many are known to the gateway's DNS")


def answering_containers() -> set[str]:
    """Return the addresses under which the gateway finds order-service."""
    found = inside("gateway", "getent", "ahostsv4", "order-service").stdout.splitlines()
    return {line.split()[0] for line in found}


def containers_that_logged(request_id: str) -> set[str]:
    logs = ["docker", "compose", "logs", "--no-color", "--tail", "50", "order-service"]
    lines = subprocess.run(logs, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return {line.split("|")[0].strip() for line in lines if request_id in line}
