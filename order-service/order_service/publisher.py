"""Publishing events to RabbitMQ with publisher confirms: an event counts as published when the broker confirms it.

The confirms of a batch are awaited together, so that the broker writes it to disk in one step. Only pika's asynchronous
connection can do that; here its loop runs until the awaited answer has come.

`mandatory` makes the broker return an event that reaches no queue. But any queue will do, for example one that watches
events. So the publisher first binds the queue that must get them: this restores a lost binding, and fails without it.
"""

import json
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

import pika
from pika import SelectConnection
from pika.adapters.blocking_connection import BlockingConnection
from pika.channel import Channel
from pika.exceptions import NackError, UnroutableError
from pika.spec import Basic

from chassis.amqp import FAILURES, cause, check_publishing, refusal
from order_service.event_traces import publishing
from order_service.events import TYPES

EXCHANGE, QUEUE = "shop.events", "notifications"
HEARTBEAT = 6  # s, like all times here; the worker answers heartbeats between its rounds, and a round takes less
SOCKET_TIMEOUT = 3.0
CONNECT_TIMEOUT = 5.0  # for the whole of TCP, TLS and AMQP
BLOCKED_TIMEOUT = 5.0  # for a broker that is short of memory or disk
CONFIRM_TIMEOUT = 25.0  # the heartbeats notice a frozen broker within 22 s
CLOSE_TIMEOUT = 2.0
RECONNECT_DELAY = 1.0


class BrokerUnavailable(Exception):
    """RabbitMQ did not confirm, so whether it has the events is unknown. Safe to repeat."""


class BrokerMisconfigured(BrokerUnavailable):
    """RabbitMQ answers and refuses: a right, a setting or a queue is missing. Safe to repeat once corrected."""


class Publisher:
    """Publishes to the exchange of events, over one connection, used by one thread.

    The connection opens when it is needed; after a failure, at least a second later.
    """

    def __init__(
        self,
        url: str,
        *,
        heartbeat: int = HEARTBEAT,
        socket_timeout: float = SOCKET_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        clock: Any = time,
    ) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = heartbeat
        self._parameters.blocked_connection_timeout = BLOCKED_TIMEOUT
        self._parameters.socket_timeout = socket_timeout
        self._parameters.stack_timeout = connect_timeout
        self._clock = clock
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._sent = 0
        self._unconfirmed: set[int] = set()  # delivery tags
        self._failure: Exception | None = None
        self._retry_at = 0.0
        self._refusal: str | None = None

    def check(self) -> None:
        """Return if events can be published, without publishing any. Raises BrokerUnavailable, BrokerMisconfigured."""
        try:
            with BlockingConnection(self._parameters) as connection:
                channel = connection.channel()
                for event_type in TYPES:
                    channel.queue_bind(QUEUE, EXCHANGE, event_type)
                check_publishing(connection, EXCHANGE, TYPES[0])
        except FAILURES as exc:
            self._give_up(exc)

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish events, persistent and in their order, and wait for the confirm of each.

        Raises BrokerUnavailable, BrokerMisconfigured; some of the events may be published nevertheless.
        """
        events = list(events)
        if not events:
            return
        try:
            channel = self._open()
            for event_type in dict.fromkeys(event["type"] for event in events):
                channel.queue_bind(QUEUE, EXCHANGE, event_type, callback=self._stop_loop)
                self._run_loop(CONFIRM_TIMEOUT)
            with publishing(EXCHANGE, events) as headers:
                for sent in zip(events, headers, strict=True):
                    self._send(channel, *sent)
                self._run_loop(CONFIRM_TIMEOUT)
        except FAILURES as exc:
            self._give_up(exc)

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats. Call it every few seconds while there is nothing to publish."""
        if self._connection:
            self._connection.ioloop.call_later(0, self._stop_loop)
            self._connection.ioloop.start()
            if self._failure:
                self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if not connection:
            return
        loop = connection.ioloop
        loop.call_later(0 if connection.is_closed else CLOSE_TIMEOUT, loop.stop)
        if not (connection.is_closed or connection.is_closing):
            connection.add_on_close_callback(lambda *_: loop.stop())
            connection.close()
        loop.start()  # a failed connection has callbacks left to run as well
        loop.close()

    def _open(self) -> Channel:
        """Return a channel in confirm mode. Raises one of `FAILURES`, or BrokerUnavailable just after a failure."""
        if self._clock.monotonic() < self._retry_at:
            if self._refusal:
                raise BrokerMisconfigured(self._refusal)
            raise BrokerUnavailable("RabbitMQ was away a moment ago.")
        if self._channel and self._channel.is_open and not self._failure:
            return self._channel
        self.close()
        self._failure, self._sent, self._unconfirmed = None, 0, set()
        self._connection = SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=self._fail,
            on_close_callback=self._fail,
        )
        self._run_loop(self._parameters.stack_timeout + 1)  # pika gives up a second earlier
        return cast(Channel, self._channel)

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._fail)
        channel.add_on_return_callback(lambda *_message: self._note_failure(UnroutableError(())))
        channel.confirm_delivery(self._on_confirm, callback=self._stop_loop)

    def _send(self, channel: Channel, event: dict[str, Any], headers: dict[str, str]) -> None:
        properties = pika.BasicProperties(
            message_id=event["id"],
            type=event["type"],
            content_type="application/cloudevents+json",
            headers=headers,
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        self._sent += 1
        self._unconfirmed.add(self._sent)
        channel.basic_publish(EXCHANGE, event["type"], json.dumps(event).encode(), properties, mandatory=True)

    def _on_confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        self._unconfirmed -= {sent for sent in self._unconfirmed if sent <= tag} if frame.method.multiple else {tag}
        if isinstance(frame.method, Basic.Nack):
            self._note_failure(NackError(()))
        if not self._unconfirmed:
            self._stop_loop()

    def _run_loop(self, seconds: float) -> None:
        """Run the connection's loop until a callback stops it. Raises the failure that a callback has noted."""
        if self._connection is None:
            raise OSError("not connected")
        loop = self._connection.ioloop
        timer = loop.call_later(seconds, partial(self._fail, None, TimeoutError(f"no answer within {seconds:g} s")))
        loop.start()
        loop.remove_timeout(timer)
        if self._failure:
            raise self._failure

    def _stop_loop(self, *_: object) -> None:
        if self._connection:
            self._connection.ioloop.stop()

    def _note_failure(self, failure: Exception) -> None:
        self._failure = self._failure or failure  # the first one is the cause of all others

    def _fail(self, _source: object, failure: Exception) -> None:
        self._note_failure(cause(failure))
        self._stop_loop()

    def _give_up(self, exc: Exception) -> None:
        """Close the connection. Raises BrokerUnavailable, BrokerMisconfigured."""
        self._retry_at = self._clock.monotonic() + RECONNECT_DELAY
        self.close()
        self._refusal = refusal(exc)
        if self._refusal:
            raise BrokerMisconfigured(self._refusal) from exc
        raise BrokerUnavailable(f"RabbitMQ did not confirm: {type(exc).__name__} {exc}".strip()) from exc
