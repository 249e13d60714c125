"""Publishing events to RabbitMQ, each confirmed by the broker before it counts as published.

`mandatory` makes the broker return an event that no queue takes, but it is content with any queue, such as one that
somebody binds to watch events. So before events are published, the queue that must get them is bound, which changes
nothing where the binding is there, makes it anew where it was lost, and fails where the queue is missing.

A `Publisher` is one connection, used by one thread. It is opened when needed, and after a failure not again for a
second. A confirm takes as long as the broker's disk; `Lanes` publish over several connections at a time, so that the
broker writes several events to its disk at once. They bind once for all of them: RabbitMQ 4 writes each bind to its
disk, also one that changes nothing.
"""

import json
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from zlib import crc32

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from chassis.amqp import FAILURES, check_publishing, refusal
from order_service.events import TYPES

EXCHANGE = "shop.events"
QUEUE = "notifications"
HEARTBEAT = 6
SOCKET_SECONDS = 3
CONNECT_SECONDS = 5
PAUSE = 1.0

log = logging.getLogger(__name__)


class BrokerUnavailable(Exception):
    """RabbitMQ did not confirm; whether it has the events is not known. Safe to repeat."""


class BrokerRefuses(BrokerUnavailable):
    """RabbitMQ answers and refuses: a right, a setting or a queue is missing. Safe to repeat when that is corrected."""


class Publisher:
    """Publishes to the exchange of events."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT
        self._parameters.blocked_connection_timeout = 5
        self._parameters.socket_timeout = SOCKET_SECONDS
        self._parameters.stack_timeout = CONNECT_SECONDS
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._retry_at = 0.0
        self._refusal: str | None = None

    def check(self) -> None:
        """Return if events can be published; publishes none. Raises BrokerUnavailable, BrokerRefuses."""
        self.bind(TYPES)
        try:
            self._open()
            check_publishing(cast(BlockingConnection, self._connection), EXCHANGE, TYPES[0])
        except FAILURES as exc:
            self._give_up(exc)

    def bind(self, types: Iterable[str]) -> None:
        """Let the queue that must get them have events of these types. Raises BrokerUnavailable, BrokerRefuses."""
        try:
            channel = self._open()
            for event_type in types:
                channel.queue_bind(QUEUE, EXCHANGE, event_type)
        except FAILURES as exc:
            self._give_up(exc)

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish events whose types are bound, persistent, and wait for the confirm of each.

        Raises BrokerUnavailable, BrokerRefuses.
        """
        try:
            channel = self._open()
            for event in events:
                self._publish(channel, event)
        except FAILURES as exc:
            self._give_up(exc)

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; to be called every few seconds while there is nothing to publish."""
        if self._connection:
            try:
                self._connection.process_data_events(0)
            except FAILURES:
                self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection and connection.is_open:
            try:
                connection.close()
            except FAILURES as exc:
                log.info("closing the broker connection failed: %s", type(exc).__name__)

    def _open(self) -> BlockingChannel:
        if time.monotonic() < self._retry_at:
            raise (
                BrokerRefuses(self._refusal) if self._refusal else BrokerUnavailable("RabbitMQ was away a moment ago.")
            )
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
        self._refusal = refusal(exc)
        if self._refusal:
            raise BrokerRefuses(self._refusal) from exc
        raise BrokerUnavailable(f"RabbitMQ did not confirm: {type(exc).__name__} {exc}".strip()) from exc


class Lanes:
    """Several publishers side by side. The events of one order keep to one lane, and so their order."""

    def __init__(self, publishers: Iterable[Publisher]) -> None:
        self._publishers = list(publishers)
        self._pool = ThreadPoolExecutor(len(self._publishers), thread_name_prefix="lane")

    def check(self) -> None:
        """Return if events can be published; publishes none. Raises BrokerUnavailable, BrokerRefuses."""
        self._publishers[0].check()

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish events, persistent, and wait for the confirm of each. Raises BrokerUnavailable, BrokerRefuses."""
        events = list(events)
        if not events:
            return
        self._publishers[0].bind(dict.fromkeys(event["type"] for event in events))
        lanes: dict[Publisher, list[dict[str, Any]]] = {}
        for event in events:
            lane = self._publishers[crc32(event["subject"].encode()) % len(self._publishers)]
            lanes.setdefault(lane, []).append(event)
        publishing = [self._pool.submit(lane.publish, its_events) for lane, its_events in lanes.items()]
        failures = [exc for future in publishing if (exc := future.exception())]
        if failures:
            raise next((exc for exc in failures if isinstance(exc, BrokerRefuses)), failures[0])

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; to be called every few seconds while there is nothing to publish."""
        for publisher in self._publishers:
            publisher.keep_alive()

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for publisher in self._publishers:
            publisher.close()
