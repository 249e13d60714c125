"""The publisher against a real RabbitMQ: confirms, a missing queue, a broker that stops, restarts or freezes."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pika
import pytest

from deploy import broker
from deploy.broker import ORDER_SERVICE, Rights
from deploy.config import Account
from order_service import publisher
from order_service.events import TYPES
from order_service.publisher import QUEUE, RECONNECT_DELAY, BrokerMisconfigured, BrokerUnavailable, Publisher
from tests.fake_time import FakeTime
from tests.waiting import until
from tools import processes, programs, throwaway
from tools.rabbitmq import RabbitServer

RECENT = "events.recent"
SECONDS_TO_START = 60.0


@pytest.fixture(scope="module")
def own_rabbitmq() -> Iterator[RabbitServer]:
    """A broker that tests may stop and freeze."""
    with throwaway.rabbitmq() as server:
        broker.declare_topology(server.url, SECONDS_TO_START)
        yield server


@pytest.fixture
def breakable(own_rabbitmq: RabbitServer) -> RabbitServer:
    """The same with empty queues."""
    channel_work(own_rabbitmq.url, lambda channel: [channel.queue_purge(queue) for queue in (QUEUE, RECENT)])
    return own_rabbitmq


MakePublisher = Callable[..., Publisher]


@pytest.fixture
def make_hasty_publisher() -> Iterator[MakePublisher]:
    """Make publishers with the real time limits: a broker that is slow for a few seconds counts as away."""
    publishers: list[Publisher] = []

    def make(url: str, **options: Any) -> Publisher:
        publishers.append(Publisher(url, **options))
        return publishers[-1]

    yield make
    for one in publishers:
        one.close()


@pytest.fixture
def make_publisher(make_hasty_publisher: MakePublisher) -> MakePublisher:
    """Make publishers that wait for a slow broker on a busy machine."""
    return partial(make_hasty_publisher, socket_timeout=SECONDS_TO_START, connect_timeout=SECONDS_TO_START)


def event(number: int = 1, kind: str = "order_created") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"o{number}.{kind}",
        "type": kind,
        "subject": f"o{number}",
        "data": {"name": "Dünen"},
    }


def channel_work(url: str, work: Callable[[Any], Any]) -> Any:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return work(connection.channel())


def take(url: str, queue: str = QUEUE) -> list[tuple[Any, bytes]]:
    """Take all messages out of a queue: (properties, body)."""

    def work(channel: Any) -> list[tuple[Any, bytes]]:
        taken = []
        while (message := channel.basic_get(queue, auto_ack=True))[0]:
            taken.append(message[1:])
        return taken

    return channel_work(url, work)  # type: ignore[no-any-return]


def ids(url: str, queue: str = QUEUE) -> list[str]:
    return [properties.message_id for properties, _ in take(url, queue)]


def publishes(one: Publisher, number: int) -> bool:
    try:
        one.publish([event(number)])
    except BrokerUnavailable:
        return False
    return True


def pids(server: RabbitServer) -> list[int]:
    return processes.find(server.home.parent)


def stop(server: RabbitServer) -> None:
    """Kill the broker, like a power failure."""
    processes.send(pids(server), signal.SIGKILL)
    until(lambda: not pids(server), "the broker is gone")


def start(server: RabbitServer) -> subprocess.Popen[bytes]:
    home = server.home.parent
    environment = {**programs.inherited(), **server.environment(), **processes.marks(home, "rabbitmq")}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(server.command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)


def test_an_event_is_published_persistently_to_every_queue_that_wants_it(
    broker_url: str, make_publisher: MakePublisher
) -> None:
    make_publisher(broker_url).publish([event(1), event(2, "order_shipped")])
    for queue in (QUEUE, RECENT):
        messages = take(broker_url, queue)
        assert [json.loads(body) for _, body in messages] == [event(1), event(2, "order_shipped")]
        for properties, body in messages:
            assert properties.delivery_mode == 2
            assert properties.content_type == "application/cloudevents+json"
            assert (properties.message_id, properties.type) == (json.loads(body)["id"], json.loads(body)["type"])


def test_one_connection_serves_many_publications(broker_url: str, make_publisher: MakePublisher) -> None:
    one = make_publisher(broker_url)
    one.publish([event(1)])
    connection = one._connection
    for number in range(2, 12):
        one.publish([event(number)])
    assert one._connection is connection
    assert ids(broker_url) == [f"o{number}.order_created" for number in range(1, 12)]


def test_nothing_is_published_while_the_queue_that_must_get_it_is_missing(
    vhost_url: str, make_publisher: MakePublisher
) -> None:
    broker.declare_topology(vhost_url, SECONDS_TO_START)
    channel_work(vhost_url, lambda channel: channel.queue_delete(QUEUE))
    one = make_publisher(vhost_url)
    with pytest.raises(BrokerUnavailable, match="notifications"):
        one.publish([event()])
    assert take(vhost_url, RECENT) == []
    broker.declare_topology(vhost_url, SECONDS_TO_START)
    until(lambda: publishes(one, 1), "events are published again")
    assert ids(vhost_url) == ["o1.order_created"]


@pytest.mark.parametrize("kind", TYPES)
def test_a_lost_binding_is_restored_and_costs_no_event(
    broker_url: str, make_publisher: MakePublisher, kind: str
) -> None:
    one = make_publisher(broker_url)
    one.publish([event(1, kind)])
    channel_work(broker_url, lambda channel: channel.queue_unbind(QUEUE, publisher.EXCHANGE, kind))
    one.publish([event(2, kind)])
    assert ids(broker_url, RECENT) == ids(broker_url) == [f"o1.{kind}", f"o2.{kind}"]


def test_the_check_publishes_nothing_and_leaves_the_publisher_usable(
    broker_url: str, make_publisher: MakePublisher
) -> None:
    one = make_publisher(broker_url)
    one.check()
    assert ids(broker_url, RECENT) == []
    one.publish([event()])
    assert ids(broker_url) == ["o1.order_created"]


@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        (Rights(write="^notifications$", read=ORDER_SERVICE.read), r"exchange 'shop\.events'"),
        (Rights(write=r"^shop\.events$", read=ORDER_SERVICE.read), "queue 'notifications'"),
        (Rights(write=ORDER_SERVICE.write), r"exchange 'shop\.events'"),
    ],
)
def test_each_missing_right_is_found_before_anything_is_published(
    broker_url: str, rabbitmq: RabbitServer, make_publisher: MakePublisher, rights: Rights, refused: str
) -> None:
    account = Account("limited", "secret")
    broker.Management(rabbitmq.management_url, broker_url).set_user(account, rights)
    one = make_publisher(broker_url.replace("admin:", "limited:", 1))
    with pytest.raises(BrokerMisconfigured, match=rf"ACCESS_REFUSED - .*access to {refused}.*Run the provisioning"):
        one.check()
    assert ids(broker_url, RECENT) == []


@pytest.mark.parametrize("call", [Publisher.check, lambda one: one.publish([event()])], ids=["check", "publish"])
@pytest.mark.parametrize(("change", "to"), [("admin:", "nobody:"), ("/test-", "/no-")])
def test_a_missing_account_or_virtual_host_is_a_misconfiguration(
    broker_url: str, make_publisher: MakePublisher, change: str, to: str, call: Callable[[Publisher], None]
) -> None:
    with pytest.raises(BrokerMisconfigured, match="account or virtual host of RABBITMQ_URL"):
        call(make_publisher(broker_url.replace(change, to, 1)))


def test_a_name_that_does_not_resolve_is_an_outage_with_its_reason(make_publisher: MakePublisher) -> None:
    with pytest.raises(BrokerUnavailable, match="gaierror") as raised:
        make_publisher("amqp://no-such-host.invalid/%2F").publish([event()])
    assert not isinstance(raised.value, BrokerMisconfigured)


def test_closing_takes_no_longer_than_the_broker(broker_url: str, make_publisher: MakePublisher) -> None:
    one, took = make_publisher(broker_url), []
    for _ in range(3):
        one.publish([event()])
        started = time.monotonic()
        one.close()
        took.append(time.monotonic() - started)
    assert min(took) < publisher.CLOSE_TIMEOUT / 2


def test_a_full_queue_refuses_and_the_event_is_not_counted_as_published(
    vhost_url: str, make_publisher: MakePublisher
) -> None:
    def declare(channel: Any) -> None:
        channel.exchange_declare(publisher.EXCHANGE, "topic", durable=True)
        channel.queue_declare(QUEUE, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.queue_bind(QUEUE, publisher.EXCHANGE, "#")

    channel_work(vhost_url, declare)
    one = make_publisher(vhost_url)
    one.publish([event(1)])
    with pytest.raises(BrokerUnavailable, match="Nack"):
        one.publish([event(2)])
    assert ids(vhost_url) == ["o1.order_created"]


def test_an_event_that_reaches_no_queue_is_returned_and_not_counted_as_published(
    vhost_url: str, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The binding is lost between the publisher's bind and the event: RabbitMQ returns the event and confirms it."""
    channel_work(vhost_url, lambda channel: channel.exchange_declare(publisher.EXCHANGE, "topic", durable=True))
    queue_bind = "pika.channel.Channel.queue_bind"
    monkeypatch.setattr(queue_bind, lambda channel, *_, callback: channel.basic_qos(callback=callback))
    with pytest.raises(BrokerMisconfigured, match="no queue for a message"):
        make_publisher(vhost_url).publish([event()])


def test_after_a_failure_the_publisher_waits_a_second_before_it_connects_again(make_publisher: MakePublisher) -> None:
    clock = FakeTime()
    one = make_publisher("amqp://127.0.0.1:1/%2F", clock=clock)
    with pytest.raises(BrokerUnavailable, match="did not confirm"):
        one.publish([event()])
    clock.sleep(RECONNECT_DELAY - 0.001)
    with pytest.raises(BrokerUnavailable, match="a moment ago"):
        one.publish([event()])
    clock.sleep(0.001)
    with pytest.raises(BrokerUnavailable, match="did not confirm"):
        one.publish([event()])


def test_heartbeats_keep_an_idle_connection(broker_url: str, make_publisher: MakePublisher) -> None:
    # The broker closes a connection that is silent for two heartbeats.
    one, silent = make_publisher(broker_url, heartbeat=3), make_publisher(broker_url, heartbeat=1)
    one.publish([event(1)])
    silent.publish([event(2)])
    connection = one._connection
    idle_until = time.monotonic() + 10
    while time.monotonic() < idle_until:
        one.keep_alive()
        time.sleep(0.1)
    one.publish([event(3)])
    assert one._connection is connection
    with pytest.raises(BrokerUnavailable):
        silent.publish([event(4)])
    until(lambda: publishes(silent, 5), "the silent one connects again")


def test_the_publisher_gives_up_on_a_frozen_broker_and_uses_it_again_when_it_resumes(
    breakable: RabbitServer, make_hasty_publisher: MakePublisher
) -> None:
    one, late = make_hasty_publisher(breakable.url), make_hasty_publisher(breakable.url)
    until(lambda: publishes(one, 1), "it has a connection")
    with throwaway.frozen(breakable):
        for publishing, limit in ((one, 24), (late, 8)):  # with a connection, and still without one
            started = time.monotonic()
            with pytest.raises(BrokerUnavailable):
                publishing.publish([event(2)])
            assert time.monotonic() - started < limit
    until(lambda: publishes(one, 3), "events are published again", seconds=20)
    published = ids(breakable.url)
    assert published[0] == "o1.order_created"
    assert set(published) - {"o2.order_created"} == {"o1.order_created", "o3.order_created"}


def test_a_killed_broker_still_has_the_events_that_it_confirmed(
    breakable: RabbitServer, make_publisher: MakePublisher
) -> None:
    one, idle = make_publisher(breakable.url), make_publisher(breakable.url)
    one.publish([event(number) for number in range(50)])
    idle.publish([])
    stop(breakable)
    until(lambda: idle.keep_alive() or idle._connection is None, "the idle one drops its connection")
    with pytest.raises(BrokerUnavailable):
        one.publish([event(50)])
    server = start(breakable)
    try:
        until(lambda: publishes(one, 51), "events are published again", seconds=SECONDS_TO_START)
        assert ids(breakable.url) == [f"o{number}.order_created" for number in [*range(50), 51]]
    finally:
        stop(breakable)
        server.wait(10)
