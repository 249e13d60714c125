"""After a restore, empty the queues of the notifications: `python -m deploy.purge`.

The queues may have events of orders that the restored databases do not know. `order_service.recovery` publishes the
events that buyers have not been told of. The dead letters are printed before they go, one JSON object a line, with
their bodies: these hold personal data. It is safe to repeat. The consumer must not run meanwhile.
"""

import base64
import json
import sys
import time
from collections import Counter
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from chassis.amqp import FAILURES, refusal
from deploy.broker import TOPOLOGY
from deploy.config import BrokerSettings

PREFIX, DEAD_LETTERS = "notifications", "notifications.dead"
DEADLINE = 30.0  # s; a message may be on its way from one queue to another, so all are looked at again
TIMEOUT = 10  # s for connecting


class NotPurged(Exception):
    """The queues are not empty. Safe to repeat once the reason is gone."""


def purge(channel: BlockingChannel) -> Counter[str]:
    """Empty the queues and print the dead letters; return how many messages each queue had. Raises NotPurged."""
    names = [queue["name"] for queue in json.loads(TOPOLOGY.read_text())["queues"]]
    queues = [name for name in names if name.startswith(PREFIX)]
    if any(_look(channel, queue).consumer_count for queue in queues):
        raise NotPurged("A consumer is running. Stop notification-consumer first.")
    gone, deadline = Counter(dict.fromkeys(queues, 0)), time.monotonic() + DEADLINE
    while any(_look(channel, queue).message_count for queue in queues):
        if time.monotonic() > deadline:
            raise NotPurged("The queues fill again and again. Does something publish events or consume them?")
        for queue in queues:
            gone[queue] += _print_all(channel, queue) if queue == DEAD_LETTERS else _remove_all(channel, queue)
    return gone


def _look(channel: BlockingChannel, queue: str) -> Any:
    return channel.queue_declare(queue, passive=True).method


def _remove_all(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_purge(queue).method.message_count)


def _print_all(channel: BlockingChannel, queue: str) -> int:
    """Print and remove each message. One is removed only after it is printed."""
    number = 0
    while (received := channel.basic_get(queue))[0] is not None:
        method, properties, body = received
        sys.stdout.write(json.dumps(_record(queue, properties, body), default=str) + "\n")
        sys.stdout.flush()
        channel.basic_ack(method.delivery_tag)
        number += 1
    return number


def _record(queue: str, properties: pika.BasicProperties, body: bytes) -> dict[str, Any]:
    record = {"kind": "dead_letter", "queue": queue, "id": properties.message_id, "type": properties.type}
    try:
        return record | {"headers": properties.headers or {}, "body": body.decode()}
    except UnicodeDecodeError:
        return record | {"headers": properties.headers or {}, "body_base64": base64.b64encode(body).decode()}


def main() -> None:
    """Empty the queues, and print how many messages each had to standard error; exit code 1 if one is not empty."""
    parameters = pika.URLParameters(BrokerSettings.load().rabbitmq_url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = TIMEOUT
    try:
        with pika.BlockingConnection(parameters) as connection:
            gone = purge(connection.channel())
    except NotPurged as exc:
        raise SystemExit(str(exc)) from exc
    except FAILURES as exc:
        raise SystemExit(refusal(exc) or f"RabbitMQ does not answer: {exc!r}"[:400]) from exc
    sys.stderr.write("".join(f"{queue}: {number} removed\n" for queue, number in gone.items()))


if __name__ == "__main__":
    main()
