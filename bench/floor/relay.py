"""Publishing with confirms, in the background of the order service."""

import json
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

import pika

from bench.floor.operations import EVENT, Operations

LANES, BATCH, PAUSE = 2, 100, 0.1


def declare(channel: "pika.adapters.blocking_connection.BlockingChannel", queue: str) -> None:
    """Declare the queue, which the broker replicates as it does the shop's."""
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


class Relay:
    """Publishes the events of orders, and empties their outboxes."""

    def __init__(self, url: str, queue: str, operations: Operations) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = 0
        self._queue = queue
        self._operations = operations
        self._waiting = SimpleQueue[str]()
        for _ in range(LANES):
            threading.Thread(target=self._work, daemon=True).start()

    def publish(self, order_id: str) -> None:
        """Have an order's event published soon."""
        self._waiting.put(order_id)

    def _work(self) -> None:
        channel = pika.BlockingConnection(self._parameters).channel()
        channel.confirm_delivery()
        declare(channel, self._queue)
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        while True:
            order_ids = [self._waiting.get()]
            time.sleep(PAUSE)  # one write empties the outboxes of all that come meanwhile
            with suppress(Empty):
                while len(order_ids) < BATCH:
                    order_ids.append(self._waiting.get_nowait())
            for order_id in order_ids:
                event = json.dumps({**EVENT, "id": order_id}).encode()
                channel.basic_publish("", self._queue, event, properties, mandatory=True)
            self._operations.published(order_ids)
