"""Consumed messages: settling them, and moving them between queues.

To move a message, a copy is published and confirmed by the broker before the original is acknowledged. A crash in
between leaves both, and never none: the notifier sends a notification once, however often its event is delivered.
"""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from chassis.schemas import format_time
from chassis.telemetry import context
from chassis.telemetry.context import TraceContext
from notification_service import metrics
from notification_service.delivery import Disposition, Outcome
from notification_service.topology import DEAD_LETTERS, NOTIFICATIONS, Topology

ATTEMPT, REASON, DIED_AT = "x-attempt", "x-reason", "x-died-at"
MAX_REASON = 500  # characters; headers are for people to read

log = logging.getLogger(__name__)


def connect(url: str) -> BlockingConnection:
    """Return a connection that notices within seconds that the broker is gone. Raises one of `amqp.FAILURES`."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 15  # s; pika gives the connection up when the broker is silent for so long
    parameters.blocked_connection_timeout = 20  # s; a broker that lacks memory or disk space blocks publishers
    parameters.socket_timeout = 5
    parameters.stack_timeout = 10  # s for TCP, TLS and AMQP together
    parameters.connection_attempts = 1  # the consumer has its own backoff
    return BlockingConnection(parameters)


class Message:
    """A message that a queue delivered, and the channel to settle it on."""

    def __init__(self, channel: BlockingChannel, tag: int, properties: pika.BasicProperties, body: bytes) -> None:
        self._channel = channel
        self.tag = tag
        self._properties = properties
        self._headers: dict[str, Any] = properties.headers or {}
        self.body = body

    @property
    def id(self) -> str:
        """Return the message's id, or a digest of the body if it has none."""
        return self._properties.message_id or f"sha256-{hashlib.sha256(self.body).hexdigest()[:16]}"

    @property
    def type(self) -> str:
        """Return the type of the event, as its publisher named it."""
        return self._properties.type or "-"

    @property
    def trace(self) -> TraceContext | None:
        """Return its place in a trace: the span that has published it."""
        return context.read(self._headers)

    @property
    def attempts(self) -> int:
        """Return how many attempts have failed."""
        attempts = self._headers.get(ATTEMPT)
        return attempts if isinstance(attempts, int) and attempts > 0 else 0

    @property
    def death(self) -> tuple[str, str]:
        """Return when and why it became a dead letter: our own reason, or the broker's after too many deliveries."""
        by_broker = (self._headers.get("x-death") or [{}])[0]
        reason = self._headers.get(REASON) or by_broker.get("reason") or "-"
        at = self._headers.get(DIED_AT) or by_broker.get("time") or "-"
        return format_time(at.replace(tzinfo=UTC)) if isinstance(at, datetime) else str(at), str(reason)

    def acknowledge(self, *, multiple: bool = False) -> None:
        """Acknowledge it; with `multiple`, also every message that was delivered before it."""
        self._channel.basic_ack(self.tag, multiple)

    def retry(self, queue: str) -> None:
        """Move it to a delay queue, and count an attempt."""
        self._move(queue, {ATTEMPT: self.attempts + 1})

    def defer(self, queue: str) -> None:
        """Move it to a delay queue, and count no attempt."""
        self._move(queue, {ATTEMPT: self.attempts})

    def dead_letter(self, reason: str) -> None:
        """Move it to the dead letters."""
        headers = {REASON: reason[:MAX_REASON], DIED_AT: format_time(datetime.now(UTC))}
        self._move(DEAD_LETTERS, {ATTEMPT: self.attempts + 1, **headers})

    def replay(self) -> None:
        """Move it back to the queue of the consumer, as if it were new."""
        self._move(NOTIFICATIONS, {})

    def _move(self, queue: str, headers: Mapping[str, object]) -> None:
        """Publish a copy to a queue, wait for the confirm, then acknowledge. The channel must be in confirm mode.

        Raises AMQPError; the broker then delivers the message again. Headers that begin with `x-` are not copied: they
        are the broker's or ours.
        """
        copied = {name: value for name, value in self._headers.items() if not name.startswith("x-")}
        properties = pika.BasicProperties(
            message_id=self._properties.message_id,
            type=self._properties.type,
            content_type=self._properties.content_type,
            headers={**copied, **headers},
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        self._channel.basic_publish("", queue, self.body, properties, mandatory=True)
        self.acknowledge()


class Settlement:
    """Settles the messages of one channel by their outcomes, in the thread that owns the connection."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._unsettled: dict[int, None] = {}  # delivery tags, in the order of delivery

    def add(self, message: Message) -> None:
        """Note that a message was delivered."""
        self._unsettled[message.tag] = None

    def settle(self, messages: Sequence[Message], outcomes: Sequence[Outcome]) -> None:
        """Settle each message by its outcome."""
        batch = list(zip(messages, outcomes, strict=True))
        done = [message for message, outcome in batch if outcome.disposition is Disposition.ACKNOWLEDGE]
        self._acknowledge(done)
        metrics.count_messages(Disposition.ACKNOWLEDGE, len(done))
        for message, outcome in batch:
            if outcome.disposition is Disposition.UNSETTLED:
                metrics.count_messages(Disposition.UNSETTLED)
            if outcome.disposition not in (Disposition.ACKNOWLEDGE, Disposition.UNSETTLED):
                with context.use(message.trace):
                    self._move(message, outcome)
                del self._unsettled[message.tag]

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        """Acknowledge the messages before the first unsettled message together, the others one by one."""
        for message in messages:
            del self._unsettled[message.tag]
        first_unsettled = next(iter(self._unsettled), math.inf)
        together = [message for message in messages if message.tag < first_unsettled]
        if together:
            together[-1].acknowledge(multiple=True)
        for message in messages[len(together) :]:
            message.acknowledge()

    def _move(self, message: Message, outcome: Outcome) -> None:
        extra = {"message_id": message.id, "reason": outcome.reason}
        queue = self._topology.delay(message.attempts)
        if outcome.disposition is Disposition.DEFER:
            message.defer(self._topology.delays[0])
            metrics.count_messages(Disposition.DEFER)
        elif outcome.disposition is Disposition.RETRY and queue:
            log.warning("message scheduled for retry", extra={**extra, "queue": queue})
            message.retry(queue)
            metrics.count_messages(Disposition.RETRY)
        else:
            log.error("message moved to the dead letters", extra=extra)
            message.dead_letter(outcome.reason)
            metrics.count_messages(Disposition.DEAD_LETTER)
