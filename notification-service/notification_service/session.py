"""A session of the consumer: one connection to RabbitMQ, on which messages are consumed in batches.

The connection belongs to the thread that calls the session; this thread answers the heartbeats. A thread of the pool
handles each batch; its outcomes come back to the connection's thread, which settles the messages. The messages that
arrive meanwhile form the next batch: a single message is handled at once, and under load the batches grow.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ConnectionWrongStateError

from chassis.amqp import check_publishing
from notification_service.delivery import Outcome
from notification_service.messages import Message, Settlement
from notification_service.topology import DEAD_LETTERS, NOTIFICATIONS, Topology

MAX_BATCH = 100  # messages; a larger batch saves nothing per message, and one slow mail would delay more of them
BATCH_INTERVAL = 0.03  # s from one batch to the next at least: each batch costs a millisecond
SLOW_BATCH = 0.1  # s after which the next batch need not wait: this batch waits for a mail server or the database
IDLE_WAIT = 0.5  # s to wait for deliveries; the consumer looks at its stop signal in between
QUEUE_CHECK_INTERVAL = 5.0  # s; the broker does not always report that a queue was deleted
SHUTDOWN_WAIT = 20.0  # s for the batches in work at a graceful shutdown; a mail takes 15 at most

Handle = Callable[[Sequence[Message]], Sequence[Outcome]]

log = logging.getLogger(__name__)


class ConsumerCancelled(Exception):
    """The broker delivers no more on this channel. Safe to connect again."""


class ConsumerSession:
    """Consumes messages on one connection. Only `handle` runs in other threads: in those of the pool."""

    def __init__(
        self,
        connection: BlockingConnection,
        pool: Executor,
        handle: Handle,
        topology: Topology,
        *,
        prefetch: int,
        batch_interval: float = BATCH_INTERVAL,
        slow_batch: float = SLOW_BATCH,
    ) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._pool = pool
        self._handle = handle
        self._queues = (NOTIFICATIONS, DEAD_LETTERS, *topology.delays)
        self._settlement = Settlement(topology)
        self._prefetch = prefetch
        self._batch_interval = batch_interval
        self._slow_batch = slow_batch
        self._delivered: list[Message] = []
        self._batches: dict[Future[Sequence[Outcome]], float] = {}  # the batches in work, and since when
        self._next_batch_at = self._next_check_at = 0.0

    def start(self) -> None:
        """Begin to consume. Raises AMQPError, also if a queue or a right is missing: the provisioning creates both."""
        self._check_queues()
        check_publishing(self._connection, "", NOTIFICATIONS)
        self._channel.confirm_delivery()
        self._channel.basic_qos(prefetch_count=self._prefetch)
        self._consumer_tag = self._channel.basic_consume(NOTIFICATIONS, self._on_message)
        log.info("consumer started: it waits for events")

    def work(self) -> None:
        """Receive and settle messages for a moment. Raises AMQPError or ConsumerCancelled if the session is over."""
        self._connection.process_data_events(self._batch_interval if self._delivered else IDLE_WAIT)
        if not self._channel.is_open:
            raise ConsumerCancelled("the broker has closed the channel")
        if not self._channel.consumer_tags:
            raise ConsumerCancelled("the broker has cancelled the consumer; was the queue deleted?")
        self._submit_batch()
        if time.monotonic() >= self._next_check_at:
            self._check_queues()

    def finish(self) -> None:
        """Stop consuming and settle the batches in work: a graceful shutdown. Other messages return to the queue."""
        self._channel.basic_cancel(self._consumer_tag)
        for future in list(self._batches):
            future.cancel()
        deadline = time.monotonic() + SHUTDOWN_WAIT
        while self._batches and time.monotonic() < deadline:
            self._connection.process_data_events(0.1)

    def close(self) -> None:
        """Close the connection, then wait for the batches in work, which may take as long as the database is away.

        The broker delivers their messages again, and two threads must not handle one message at once.
        """
        try:
            if self._connection.is_open:
                self._connection.close()
        finally:
            for future in self._batches:
                future.cancel()
            wait(self._batches)

    def _check_queues(self) -> None:
        self._next_check_at = time.monotonic() + QUEUE_CHECK_INTERVAL
        for queue in self._queues:
            self._channel.queue_declare(queue, passive=True)

    def _on_message(
        self, channel: BlockingChannel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        message = Message(channel, method.delivery_tag, properties, body)
        self._delivered.append(message)
        self._settlement.add(message)

    def _submit_batch(self) -> None:
        """Hand a batch of the delivered messages to the pool, unless another batch is in work and not slow."""
        now = time.monotonic()
        is_busy = now < self._next_batch_at or any(now < begun + self._slow_batch for begun in self._batches.values())
        if is_busy or not self._delivered:
            return
        self._next_batch_at = now + self._batch_interval
        batch, self._delivered = self._delivered[:MAX_BATCH], self._delivered[MAX_BATCH:]
        future = self._pool.submit(self._handle, batch)
        self._batches[future] = now
        future.add_done_callback(partial(self._schedule_settlement, batch))

    def _schedule_settlement(self, batch: Sequence[Message], future: Future[Sequence[Outcome]]) -> None:
        """Have a batch settled by the connection's thread; this method runs in the pool's."""
        with suppress(ConnectionWrongStateError):
            self._connection.add_callback_threadsafe(partial(self._settle, batch, future))

    def _settle(self, batch: Sequence[Message], future: Future[Sequence[Outcome]]) -> None:
        del self._batches[future]
        if not future.cancelled():
            self._settlement.settle(batch, future.result())
