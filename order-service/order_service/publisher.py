"""Publishing events to RabbitMQ, each confirmed by the broker before it counts as published.

One connection, used by one thread. It is opened when needed, and after a failure not again for a second.
"""

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

EXCHANGE = "shop.events"
QUEUE = "notifications"
HEARTBEAT = 6
PAUSE = 1.0

_FAILURES = (AMQPError, AMQPConnectorException, OSError)  # the second is how pika reports a broker that hangs at first

log = logging.getLogger(__name__)


class BrokerUnavailable(Exception):
    """RabbitMQ did not confirm; whether it has the events is not known. Safe to repeat."""


class Publisher:
    """Publishes to the exchange, and only while the queue that must get the events exists."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT
        self._parameters.blocked_connection_timeout = 5
        self._parameters.socket_timeout = 3
        self._parameters.stack_timeout = 5
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._retry_at = 0.0

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish events, persistent, and wait for the confirm of each. Raises BrokerUnavailable."""
        try:
            channel = self._open()
            channel.queue_declare(QUEUE, passive=True)  # mandatory alone is content with any other queue
            for event in events:
                self._publish(channel, event)
        except _FAILURES as exc:
            self._give_up(exc)

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; to be called every few seconds while there is nothing to publish."""
        if self._connection:
            try:
                self._connection.process_data_events(0)
            except _FAILURES:
                self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection and connection.is_open:
            try:
                connection.close()
            except _FAILURES as exc:
                log.info("closing the broker connection failed: %s", type(exc).__name__)

    def _open(self) -> BlockingChannel:
        if time.monotonic() < self._retry_at:
            raise BrokerUnavailable("RabbitMQ was away a moment ago.")
        if not (self._channel and self._channel.is_open):
            self.close()
            self._connection = BlockingConnection(self._parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def _publish(self, channel: BlockingChannel, event: dict[str, Any]) -> None:
        properties = pika.BasicProperties(
            message_id=event["id"],
            type=event["type"],
            content_type="application/cloudevents+json",
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        channel.basic_publish(EXCHANGE, event["type"], json.dumps(event).encode(), properties, mandatory=True)

    def _give_up(self, exc: Exception) -> None:
        self._retry_at = time.monotonic() + PAUSE
        self.close()
        raise BrokerUnavailable(f"RabbitMQ did not confirm: {type(exc).__name__} {exc}".strip()) from exc
