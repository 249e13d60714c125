"""The consumer of events: `python -m notification_service.consumer`, as many as you like.

The connection belongs to the main thread alone, which serves its heartbeats whatever happens. Another thread handles
all messages that were delivered as one batch, and those that arrive meanwhile form the next one: a single message is
handled at once, and under load batches grow. The verdicts come back to the main thread, which settles the messages.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ConnectionWrongStateError

from chassis import logs, mongo
from chassis.amqp import FAILURES, check_publishing, refusal
from chassis.heartbeat import WATCHDOG_TIMEOUT, Heartbeat
from chassis.shutdown import stop_on_signals
from notification_service import config, topology
from notification_service.channels import channels
from notification_service.handling import Handler, Outcome, Verdict
from notification_service.notifications import Notifier, Patience
from notification_service.publisher import Message, connect
from notification_service.smtp import Connections
from notification_service.store import NotificationStore
from notification_service.topology import DEAD, NOTIFICATIONS, Topology

CHECK_EVERY = 5.0
FINISH_WITHIN = 20.0
EXIT_WITHIN = 25.0

LARGEST_BATCH = 100  # messages; larger ones cost no less for each, and would hold up more where one mail is slow
PACE = 0.03  # s from one batch to the next: each costs a millisecond at least; after a pause one begins at once
HELD_UP = 0.1  # s; a batch that takes longer waits for a mail server or the database: the next one need not wait for it

CONSUMING = "consuming events"

Handle = Callable[[Sequence[bytes]], Sequence[Outcome]]

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The broker delivers no more on this channel. Safe to connect again."""


class Session:
    """Consuming on one connection. All of it runs in the thread that owns the connection, but for the handling."""

    def __init__(self, connection: BlockingConnection, pool: Executor, handle: Handle, topology: Topology) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._pool = pool
        self._handle = handle
        self._topology = topology
        self._waiting: list[Message] = []
        self._handling: dict[Future[Sequence[Outcome]], float] = {}  # and since when
        self._unsettled: dict[int, None] = {}  # tags, in the order of delivery
        self._next_batch_at = 0.0
        self._check_at = time.monotonic() + CHECK_EVERY

    def start(self, prefetch: int) -> None:
        """Begin to consume. Raises AMQPError, also where a queue or a right is missing: the provisioning makes them."""
        self._look_at_queues()
        check_publishing(self._connection, "", NOTIFICATIONS)
        self._channel.confirm_delivery()
        self._channel.basic_qos(prefetch_count=prefetch)
        self._consumer_tag = self._channel.basic_consume(NOTIFICATIONS, self._take)
        log.info("consuming")

    def work(self) -> None:
        """Take and settle messages for a moment. Raises AMQPError or Interrupted when this session is over."""
        self._connection.process_data_events(PACE if self._waiting else 0.5)
        if not self._channel.is_open:
            raise Interrupted("the broker has closed the channel")
        if not self._channel.consumer_tags:
            raise Interrupted("the broker has cancelled the consumer; was the queue deleted?")
        self._begin()
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + CHECK_EVERY
            self._look_at_queues()  # that one is gone is not always told

    def _look_at_queues(self) -> None:
        for queue in (NOTIFICATIONS, DEAD, *self._topology.retries):
            self._channel.queue_declare(queue, passive=True)

    def finish(self) -> None:
        """Take no more, and settle what is being handled; what is not begun goes back to the queue."""
        self._channel.basic_cancel(self._consumer_tag)
        for future in list(self._handling):
            future.cancel()
        deadline = time.monotonic() + FINISH_WITHIN
        while self._handling and time.monotonic() < deadline:
            self._connection.process_data_events(0.1)

    def close(self) -> None:
        """Close the connection, then wait for what is still being handled: it will be delivered once more, and must
        not be handled by two threads at once. That may take as long as the database is away.
        """
        try:
            if self._connection.is_open:
                self._connection.close()
        finally:
            for future in self._handling:
                future.cancel()
            wait(self._handling)

    def _take(
        self, channel: BlockingChannel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._waiting.append(Message(channel, method.delivery_tag, properties, body))
        self._unsettled[method.delivery_tag] = None

    def _begin(self) -> None:
        """Hand over a batch of what has been delivered, unless one is being handled that is not held up."""
        now = time.monotonic()
        is_busy = now < self._next_batch_at or any(now < begun + HELD_UP for begun in self._handling.values())
        if is_busy or not self._waiting:
            return
        self._next_batch_at = now + PACE
        batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
        future = self._pool.submit(self._handle, [message.body for message in batch])
        self._handling[future] = now
        future.add_done_callback(partial(self._hand_back, batch))

    def _hand_back(self, batch: Sequence[Message], future: Future[Sequence[Outcome]]) -> None:
        """Let the connection's thread settle a batch; it is the handling thread that calls this."""
        with suppress(ConnectionWrongStateError):
            self._connection.add_callback_threadsafe(partial(self._settle, batch, future))

    def _settle(self, batch: Sequence[Message], future: Future[Sequence[Outcome]]) -> None:
        del self._handling[future]
        if future.cancelled():
            return
        outcomes = list(zip(batch, future.result(), strict=True))
        self._acknowledge([message for message, outcome in outcomes if outcome.verdict is Verdict.DONE])
        for message, outcome in outcomes:
            self._move(message, outcome)

    def _acknowledge(self, done: Sequence[Message]) -> None:
        """Acknowledge messages: at once those that nothing unsettled was delivered before, each of the others alone."""
        for message in done:
            del self._unsettled[message.tag]
        first_open = next(iter(self._unsettled), math.inf)
        together = [message for message in done if message.tag < first_open]
        if together:
            together[-1].acknowledge(multiple=True)
        for message in done[len(together) :]:
            message.acknowledge()

    def _move(self, message: Message, outcome: Outcome) -> None:
        """Settle a message that is not done; one to be left stays unsettled."""
        if outcome.verdict is Verdict.DEAD:
            self._bury(message, outcome.reason)
        elif outcome.verdict is Verdict.RETRY:
            self._retry(message, outcome.reason)
        elif outcome.verdict is Verdict.WAIT:
            message.wait(self._topology.retries[0])
        else:
            return
        del self._unsettled[message.tag]

    def _retry(self, message: Message, reason: str) -> None:
        queue = self._topology.retry(message.attempts)
        if queue is None:
            self._bury(message, reason)
            return
        extra = {"message_id": message.id, "queue": queue, "reason": reason}
        log.warning("to be tried again", extra=extra)
        message.retry(queue)

    def _bury(self, message: Message, reason: str) -> None:
        log.error("dead letter", extra={"message_id": message.id, "reason": reason})
        message.bury(reason)


class Outage:
    """How long to wait before connecting again, growing up to 5 s; each reason is logged once, not at each try."""

    def __init__(self) -> None:
        self._reason = ""
        self._pause = 0.1

    def pause(self, exc: Exception) -> float:
        """Return the seconds to wait after a failure."""
        reason = f"{type(exc).__name__} {exc}".strip()
        if reason != self._reason:
            log.warning("not consuming, and trying again: %s", reason)
        self._reason = reason
        self._pause = min(2 * self._pause, 5.0)
        return self._pause

    def is_over(self) -> None:
        """Forget the reason: should it come back, it is logged once more. The pauses go on growing."""
        self._reason = ""


class Consumer:
    """Consumes events for ever, on one connection after the other."""

    def __init__(self, url: str, pool: Executor, handle: Handle, topology: Topology) -> None:
        self._url = url
        self._pool = pool
        self._handle = handle
        self._topology = topology

    def run(
        self,
        stop: threading.Event,
        *,
        prefetch: int = config.PREFETCH,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Consume until `stop` is set; no outage ends this. The heart beats, unless RabbitMQ refuses what is needed."""
        heartbeat = heartbeat or Heartbeat()
        outage = Outage()
        while not stop.is_set():
            heartbeat.kick_watchdog()
            started = time.monotonic()
            try:
                self._consume(stop, prefetch, heartbeat, outage)
            except (*FAILURES, Interrupted) as exc:
                if time.monotonic() - started > 10:
                    outage = Outage()
                if reason := refusal(exc):
                    heartbeat.misconfigurations.add(CONSUMING, reason)
                _wait(stop, outage.pause(exc), heartbeat)

    def _consume(self, stop: threading.Event, prefetch: int, heartbeat: Heartbeat, outage: Outage) -> None:
        session = Session(connect(self._url), self._pool, self._handle, self._topology)
        try:
            session.start(prefetch)
            heartbeat.misconfigurations.remove(CONSUMING)
            outage.is_over()
            while not stop.is_set():
                session.work()
                heartbeat.mark_healthy()
            session.finish()
        finally:
            session.close()


def _wait(stop: threading.Event, seconds: float, heartbeat: Heartbeat) -> None:
    """Wait, the heart beating: a broker that is away comes back."""
    end = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < end:
        heartbeat.mark_healthy()
        stop.wait(min(1.0, max(0.0, end - time.monotonic())))


def main() -> None:
    """Run a consumer until SIGTERM or SIGINT."""
    settings = config.ConsumerSettings.load()
    logs.configure("notification-consumer", settings.log_level)
    stop = threading.Event()
    stop_on_signals(stop, within=EXIT_WITHIN)

    database = mongo.connect(settings.mongo_url, "notification-consumer")
    store = NotificationStore(database, mongo.DatabaseClock(database), lease=settings.lease_seconds)
    heartbeat = Heartbeat(settings.heartbeat_file, end_after=WATCHDOG_TIMEOUT)
    patience = Patience(stop, kick_watchdog=heartbeat.kick_watchdog, misconfigurations=heartbeat.misconfigurations)
    with ExitStack() as resources:
        smtp = Connections(settings.smtp, settings.smtp_connections) if settings.smtp else None
        if smtp:
            resources.callback(smtp.close)
        pool = resources.enter_context(ThreadPoolExecutor(settings.consumer_threads, thread_name_prefix="batch"))
        ways = channels(smtp, settings.mail_from)
        handle = Handler(Notifier(store, ways, patience, start_within=settings.start_within))
        consumer = Consumer(settings.rabbitmq_url, pool, handle, topology.load(config.TOPOLOGY_FILE))
        consumer.run(stop, prefetch=settings.prefetch, heartbeat=heartbeat)
    log.info("stopped")


if __name__ == "__main__":
    main()
