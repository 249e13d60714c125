"""The shop on a RabbitMQ cluster of three nodes, of which one dies at a time: no order and no event feels it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest

from deploy import broker
from tests import rabbitmq_cluster
from tests.e2e.clients import Client, notifications_of, stock_of
from tests.e2e.conftest import SETTINGS
from tests.e2e.load import CUSTOMERS, Load, at_rest
from tests.e2e.shop import Shop, own_stack
from tests.rabbitmq_cluster import Cluster
from tests.waiting import until
from tools.stack.spec import Options
from tools.stack.stack import Stack

QUEUE, RECENT = "notifications", "events.recent"
PROMPTLY = 15.0  # s from the death of a node to a notification; a third of the attempts to connect meets the dead node
CHANNELS = {"email", "sms"}


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[Cluster]:
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    with rabbitmq_cluster.running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stack(mongodb_program: str, whole_cluster: Cluster) -> Iterator[Stack]:
    """A stack that uses the cluster."""
    servers = {"rabbitmq_url": whole_cluster.url, "management_url": whole_cluster.management_url}
    with own_stack(Options(settings=SETTINGS, mongodb=mongodb_program, **servers)) as running:
        running.up(stop_with_parent=True)
        yield running


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Shop:
    return Shop.of(stack)


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; a node that a test has killed joins it again."""
    yield whole_cluster
    whole_cluster.start(*(name for name in whole_cluster.nodes if name not in whole_cluster.up))


def node_of(cluster: Cluster, account: str) -> str:
    """Return the node to which the program of this account is connected."""
    connections = until(
        lambda: [each for each in cluster.ask("connections") if each.get("user") == account], f"{account} is connected"
    )
    return str(connections[0]["node"]).partition("@")[0]


def place(customer: Client, product_id: str) -> str:
    placed = customer.post("/orders", {"product_id": product_id, "quantity": 1})
    assert placed.status_code == 201, placed.text
    return str(placed.json()["id"])


def notified(shop: Shop) -> dict[str, Counter[str]]:
    """Return how often each order was confirmed to its customer, by order and channel."""
    counts: dict[str, Counter[str]] = {}
    with pymongo.MongoClient[dict[str, Any]](shop.mongo_url) as client:
        sent = client["notification_service"]["notifications"].find({"event_type": "order_created", "status": "sent"})
        for each in sent:
            counts.setdefault(each["order_id"], Counter())[each["channel"]] += 1
    return counts


def test_every_queue_that_must_not_lose_a_message_is_on_three_nodes(stack: Stack, cluster: Cluster) -> None:
    queues = {queue["name"]: queue for queue in cluster.ask("queues")}
    assert {name for name, queue in queues.items() if queue["type"] == "classic"} == {RECENT}
    members = {name: len(queue["members"]) for name, queue in queues.items() if name != RECENT}
    assert set(members.values()) == {3}


def test_the_death_of_the_node_that_leads_the_queue_fails_no_order_and_loses_and_doubles_no_notification(
    stack: Stack, shop: Shop, cluster: Cluster, customer: Client, product: Callable[[int], str]
) -> None:
    pots = [product(100_000) for _ in range(CUSTOMERS)]
    load = Load(customer, pots)
    with load.running():
        until(lambda: len(load.orders) > 50, "orders are placed")
        leader = cluster.leader(QUEUE)
        cluster.kill(leader)
        killed_at, before = time.monotonic(), len(load.orders)
        until(lambda: time.monotonic() > killed_at + 5 and len(load.orders) > before + 100, "orders go on")
        assert cluster.leader(QUEUE) != leader
        cluster.start(leader)
        before = len(load.orders)
        until(lambda: len(load.orders) > before + 50, "orders go on with the node that came back")
    assert not load.broken, "\n".join(load.broken)
    assert set(load.answers) <= {"200", "201"}
    until(lambda: at_rest(stack), "every promise holds", seconds=60)
    assert {order: counts for order, counts in notified(shop).items() if order in load.orders} == {
        order: dict.fromkeys(CHANNELS, 1) for order in load.orders
    }
    assert sum(stock_of(customer, pot) for pot in pots) == CUSTOMERS * 100_000 - len(load.orders)


def test_the_provisioning_and_the_events_do_without_the_queue_that_only_a_dead_node_has(
    stack: Stack,
    cluster: Cluster,
    customer: Client,
    product: Callable[[int], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.kill(str(cluster.ask(f"queues/%2F/{RECENT}")["node"]).partition("@")[0])
    broker.declare_topology(cluster.url, PROMPTLY)
    assert f"NOTE: the queue {RECENT} stays as it is: NOT_FOUND" in capsys.readouterr().err
    place(customer, product(10))
    notifications_of(customer, len(CHANNELS))


@pytest.mark.parametrize("account", ["order_service", "notification_service"])
def test_a_program_whose_node_dies_goes_on_with_another_node(
    stack: Stack, shop: Shop, cluster: Cluster, customer: Client, product: Callable[[int], str], account: str
) -> None:
    pot = product(10)
    place(customer, pot)
    notifications_of(customer, len(CHANNELS))
    node = node_of(cluster, account)
    cluster.kill(node)
    started = time.monotonic()
    place(customer, pot)
    notifications_of(customer, 2 * len(CHANNELS))
    assert time.monotonic() - started < PROMPTLY
    assert node_of(cluster, account) != node


def test_without_a_majority_of_nodes_orders_go_on_and_their_events_wait(
    stack: Stack, shop: Shop, cluster: Cluster, customer: Client, product: Callable[[int], str]
) -> None:
    pot, lost = product(1000), list(cluster.nodes)[:2]
    for name in lost:
        cluster.kill(name)
    orders = {place(customer, pot) for _ in range(20)}
    cluster.start(*lost)
    until(lambda: at_rest(stack), "every promise holds", seconds=60)
    assert {order for order in notified(shop) if order in orders} == orders
