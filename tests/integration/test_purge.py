"""After a restore the queues of the notifications are emptied, and no dead letter is lost."""

import json
import subprocess
from collections.abc import Iterator

import pika
import pytest

from tests.integration import mailroom
from tests.integration.mailroom import Broker, event
from tests.integration.recovering import CommandFailed, execute, run
from tests.waiting import until
from tools.stack.ports import free_ports

QUEUES = ("notifications", *(f"notifications.retry.{delay}" for delay in ("5s", "30s", "2m", "10m")))
AN_HOUR = 3_600_000


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    with mailroom.connected(broker_url) as connected:
        yield connected


def purge(url: str) -> "subprocess.CompletedProcess[str]":
    return execute("deploy.purge", {"RABBITMQ_URL": url})


@pytest.mark.parametrize("broker_url", [AN_HOUR], indirect=True)
def test_every_queue_of_the_notifications_is_emptied_and_no_other(broker: Broker, broker_url: str) -> None:
    broker.publish(event("a"), event("b"))
    for queue in QUEUES[1:]:
        broker.put(queue, b"{}")
    ended = purge(broker_url)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.splitlines() == [
        "notifications: 2 removed",
        *(f"{queue}: 1 removed" for queue in QUEUES[1:]),
        "notifications.dead: 0 removed",
    ]
    assert [broker.depth(queue) for queue in (*QUEUES, "events.recent")] == [0] * 5 + [2]
    assert "notifications: 0 removed" in purge(broker_url).stderr


def test_dead_letters_are_printed_whole_before_they_go(broker: Broker, broker_url: str) -> None:
    letter = json.dumps(event("ä"), ensure_ascii=False).encode()
    headers = {"x-reason": "no such mailbox", "x-attempt": 5}
    properties = pika.BasicProperties(message_id="ä.order_created", type="order_created", headers=headers)
    broker.put("notifications.dead", letter, properties)
    broker.put("notifications.dead", b"\xff\x00")
    ended = purge(broker_url)
    assert "notifications.dead: 2 removed" in ended.stderr
    first, second = map(json.loads, ended.stdout.splitlines())
    assert first.pop("headers").items() >= headers.items()  # the broker adds its own
    assert first == {
        "kind": "dead_letter",
        "queue": "notifications.dead",
        "id": "ä.order_created",
        "type": "order_created",
        "body": letter.decode(),
    }
    assert (second["body_base64"], "body" in second) == ("/wA=", False)
    assert broker.depth("notifications.dead") == 0


def test_a_dead_letter_that_cannot_be_printed_stays(broker: Broker, broker_url: str) -> None:
    broker.put("notifications.dead", b"{}")
    with pytest.raises(CommandFailed, match="No space left on device"):
        run("deploy.purge", {"RABBITMQ_URL": broker_url}, output="/dev/full")
    until(lambda: broker.depth("notifications.dead") == 1, "the queue has it again")


def test_while_a_consumer_runs_nothing_is_removed(broker: Broker, broker_url: str) -> None:
    broker.put("notifications.dead", b"{}")
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        connection.channel().basic_consume("notifications", lambda *_: None)
        ended = purge(broker_url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Stop notification-consumer first" in ended.stderr
    assert broker.depth("notifications.dead") == 1


def test_a_broker_without_queues_and_one_that_is_away_are_named(vhost_url: str) -> None:
    for url, said in (
        (vhost_url, "Run the provisioning"),
        (f"amqp://127.0.0.1:{free_ports(1)[0]}/", "does not answer"),
    ):
        ended = purge(url)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
