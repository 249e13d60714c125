"""Moving messages between queues: a copy is published and confirmed by the broker before the original is acknowledged.

A crash in between leaves both, never none: what is handled twice is sent once.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from chassis.schemas import format_time
from notification_service.topology import DEAD, NOTIFICATIONS

ATTEMPT, REASON, DIED_AT = "x-attempt", "x-reason", "x-died-at"


def connect(url: str) -> BlockingConnection:
    """Return a connection that notices within seconds that the broker is gone. Raises one of `amqp.FAILURES`."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 15
    parameters.blocked_connection_timeout = 20
    parameters.socket_timeout = 5
    parameters.stack_timeout = 10
    parameters.connection_attempts = 1
    return BlockingConnection(parameters)


class Message:
    """A message that a queue delivered, to be settled on the channel it came from."""

    def __init__(self, channel: BlockingChannel, tag: int, properties: pika.BasicProperties, body: bytes) -> None:
        self._channel = channel
        self.tag = tag
        self._properties = properties
        self.body = body

    @property
    def id(self) -> str:
        """Return the message's id; one that has none is called by its body."""
        return self._properties.message_id or f"sha256-{hashlib.sha256(self.body).hexdigest()[:16]}"

    @property
    def type(self) -> str:
        """Return the type of its event, as its publisher named it."""
        return self._properties.type or "-"

    @property
    def attempts(self) -> int:
        """Return how often it has failed."""
        attempts = self._headers.get(ATTEMPT)
        return attempts if isinstance(attempts, int) and attempts > 0 else 0

    @property
    def death(self) -> tuple[str, str]:
        """Return when and why it died; the broker's own reason if it was the broker that gave it up."""
        deaths = self._headers.get("x-death") or [{}]
        reason = self._headers.get(REASON) or deaths[0].get("reason") or "-"
        died_at = self._headers.get(DIED_AT) or deaths[0].get("time") or "-"
        return _time(died_at), str(reason)

    def acknowledge(self, *, multiple: bool = False) -> None:
        """Tell the broker that it is done; with `multiple`, all that was delivered before it as well."""
        self._channel.basic_ack(self.tag, multiple)

    def retry(self, queue: str) -> None:
        """Move it to the queue of a delay, counting the attempt."""
        self._move(queue, {ATTEMPT: self.attempts + 1})

    def wait(self, queue: str) -> None:
        """Move it to the queue of a delay without counting an attempt."""
        self._move(queue, {ATTEMPT: self.attempts})

    def bury(self, reason: str) -> None:
        """Move it to the dead letters."""
        now = format_time(datetime.now(UTC))
        self._move(DEAD, {ATTEMPT: self.attempts + 1, REASON: reason[:500], DIED_AT: now})

    def replay(self) -> None:
        """Move it back to where it is consumed, as if it were new."""
        self._move(NOTIFICATIONS, {})

    def _move(self, queue: str, headers: Mapping[str, object]) -> None:
        """Publish it to a queue, wait for the confirm, then acknowledge. Raises AMQPError; it is then delivered again.

        The channel must be in confirm mode. Headers that start with `x-` are the broker's or ours, and not copied.
        """
        kept = {name: value for name, value in self._headers.items() if not name.startswith("x-")}
        properties = pika.BasicProperties(
            message_id=self._properties.message_id,
            type=self._properties.type,
            content_type=self._properties.content_type,
            headers={**kept, **headers},
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        self._channel.basic_publish("", queue, self.body, properties, mandatory=True)
        self.acknowledge()

    @property
    def _headers(self) -> dict[str, Any]:
        return self._properties.headers or {}


def _time(value: object) -> str:
    return format_time(value.replace(tzinfo=UTC)) if isinstance(value, datetime) else str(value)
