"""What each program asks of RabbitMQ, written down while it runs; its rights are just that.

A stand-in for a channel records the operations. What right each needs is in RabbitMQ's access-control guide; looking at
a queue (a passive declaration) has needed some right to that queue only since RabbitMQ 4.2.6 and 4.3.1.
"""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pika
import pytest

from deploy import broker
from deploy.broker import Rights
from notification_service import dead_letters, topology
from notification_service.config import TOPOLOGY_FILE
from notification_service.messages import Message
from notification_service.session import ConsumerSession
from order_service import publisher
from order_service.events import TYPES
from order_service.publisher import Publisher

Needs = set[tuple[str, str]]
LISTED = json.loads(TOPOLOGY_FILE.read_text())
NAMES = ["amq.default", "another", *(entry["name"] for kind in ("exchanges", "queues") for entry in LISTED[kind])]
ANY_RIGHT = "any"


class Channel:
    """Records each operation, as (right, name of the queue or exchange)."""

    is_open = True
    consumer_tags = ("tag",)

    def __init__(self) -> None:
        self.needs: Needs = set()

    def channel(self) -> "Channel":
        return self

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def basic_publish(self, exchange: str, *_args: Any, **_options: Any) -> None:
        self.needs.add(("write", exchange or "amq.default"))

    def basic_get(self, queue: str) -> Any:
        self.needs.add(("read", queue))
        return SimpleNamespace(delivery_tag=1), pika.BasicProperties(), b"{}"

    def basic_consume(self, queue: str, _callback: object) -> str:
        self.needs.add(("read", queue))
        return "tag"

    def queue_bind(self, queue: str, exchange: str, _key: str, callback: object = None) -> None:
        self.needs |= {("write", queue), ("read", exchange)}

    def queue_declare(self, queue: str, *, passive: bool) -> Any:
        assert passive
        self.needs.add((ANY_RIGHT, queue))
        return SimpleNamespace(method=SimpleNamespace(message_count=1))

    def __getattr__(self, name: str) -> Callable[..., None]:
        assert name in ("basic_ack", "basic_qos", "confirm_delivery", "process_data_events"), f"not known: {name}"
        return lambda *_args, **_options: None


@pytest.fixture
def order_worker(monkeypatch: pytest.MonkeyPatch) -> Needs:
    channel = Channel()
    monkeypatch.setattr(publisher, "BlockingConnection", lambda _parameters: channel)
    monkeypatch.setattr(Publisher, "_open", lambda _self: channel)
    monkeypatch.setattr(Publisher, "_run_loop", lambda _self, _seconds: None)
    worker = Publisher("amqp://localhost")
    worker.check()
    worker.publish({"id": event_type, "type": event_type, "subject": "o1"} for event_type in TYPES)
    return channel.needs


@pytest.fixture
def notification_consumer() -> Needs:
    channel = Channel()
    with ThreadPoolExecutor(1) as pool:
        queues = topology.load(TOPOLOGY_FILE)
        session = ConsumerSession(channel, pool, lambda _bodies: [], queues, prefetch=1)  # type: ignore[arg-type]
        session.start()
        session.work()
    message = Message(channel, 1, pika.BasicProperties(), b"{}")  # type: ignore[arg-type]
    message.retry("notifications.retry.5s")
    message.dead_letter("for a test")
    dead_letters.show(channel, None)  # type: ignore[arg-type]
    dead_letters.replay(channel, None, set())  # type: ignore[arg-type]
    return channel.needs


@pytest.mark.parametrize(
    ("program", "rights"),
    [("order_worker", broker.ORDER_SERVICE), ("notification_consumer", broker.NOTIFICATION_SERVICE)],
)
def test_a_program_has_the_rights_that_it_uses_and_no_other(
    program: str, rights: Rights, request: pytest.FixtureRequest
) -> None:
    needs: Needs = request.getfixturevalue(program)
    assert needs
    granted = {right: {n for n in NAMES if re.search(getattr(rights, right), n)} for right in ("write", "read")}
    used = {right: {name for need, name in needs if need == right} for right in ("write", "read", ANY_RIGHT)}
    looked_at = used[ANY_RIGHT] - used["read"]  # writing to a queue itself is the right that allows least
    assert granted == {"write": used["write"] | looked_at, "read": used["read"]}


def test_every_queue_and_exchange_that_a_program_names_is_in_the_topology(
    order_worker: Needs, notification_consumer: Needs
) -> None:
    assert {name for _, name in order_worker | notification_consumer} <= set(NAMES)


def test_the_provisioning_makes_every_binding_that_the_worker_makes() -> None:
    bindings = {(publisher.EXCHANGE, publisher.QUEUE, event_type) for event_type in TYPES}
    listed = {(b["exchange"], b["queue"], b["routing_key"]) for b in LISTED["bindings"]}
    assert bindings == {binding for binding in listed if binding[1] == publisher.QUEUE}
