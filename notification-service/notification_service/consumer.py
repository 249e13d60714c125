"""The consumer of events: `python -m notification_service.consumer`. Several may run side by side."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

from chassis import mongo
from chassis.amqp import FAILURES, refusal
from chassis.heartbeat import WATCHDOG_TIMEOUT, Heartbeat
from chassis.shutdown import stop_on_signals
from chassis.telemetry import programs, tracing
from chassis.telemetry.metrics import Pool
from notification_service import config, topology
from notification_service.channels import channels
from notification_service.composing import Composer
from notification_service.delivery import Outcome
from notification_service.handling import handle_messages
from notification_service.messages import connect
from notification_service.notifier import Notifier
from notification_service.retrying import RetryWhileUnavailable, backoff
from notification_service.session import ConsumerCancelled, ConsumerSession, Handle
from notification_service.smtp_pool import SmtpPool
from notification_service.store import NotificationStore

EXIT_WITHIN = 25.0  # s after a signal to stop; longer than a session takes to finish
STABLE_AFTER = 10.0  # s of consuming after which an outage counts as over

CONSUMING = "consuming events"

log = logging.getLogger(__name__)


class Outage:
    """An outage of RabbitMQ: logs each reason once, and gives the backoff, which begins anew after the outage."""

    def __init__(self, max_delay: float = 5.0) -> None:
        self._max_delay = max_delay
        self._delays = backoff(max_delay)
        self._reason = ""
        self._connected_at: float | None = None

    def connected(self) -> None:
        """Note that the consumer works again. The outage is over if it still works after `STABLE_AFTER`."""
        self._reason = ""
        self._connected_at = time.monotonic()

    def next_delay(self, exc: Exception) -> float:
        """Return the seconds to wait after a failure."""
        if self._connected_at is not None and time.monotonic() - self._connected_at > STABLE_AFTER:
            self._delays = backoff(self._max_delay)
        self._connected_at = None
        reason = f"{type(exc).__name__} {exc}".strip()
        if reason != self._reason:
            log.warning("connection to RabbitMQ lost, reconnecting: %s", reason)
        self._reason = reason
        return next(self._delays)


class Consumer:
    """Consumes events in one session after the other, until it is stopped: no outage ends it."""

    def __init__(
        self, open_session: Callable[[], ConsumerSession], heartbeat: Heartbeat, *, max_delay: float = 5.0
    ) -> None:
        self._open_session = open_session
        self._heartbeat = heartbeat
        self._outage = Outage(max_delay)

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set. The consumer is healthy unless RabbitMQ refuses something that it needs."""
        while not stop.is_set():
            self._heartbeat.kick_watchdog()
            try:
                self._consume(stop)
            except (*FAILURES, ConsumerCancelled) as exc:
                if reason := refusal(exc):
                    self._heartbeat.misconfigurations.add(CONSUMING, reason)
                self._wait(stop, self._outage.next_delay(exc))

    def _consume(self, stop: threading.Event) -> None:
        with closing(self._open_session()) as session:
            session.start()
            self._heartbeat.misconfigurations.remove(CONSUMING)
            self._outage.connected()
            while not stop.is_set():
                session.work()
                self._heartbeat.mark_healthy()
            session.finish()

    def _wait(self, stop: threading.Event, seconds: float) -> None:
        """Wait, and stay healthy meanwhile: an outage of the broker is not the consumer's fault."""
        end = time.monotonic() + seconds
        while not stop.is_set() and time.monotonic() < end:
            self._heartbeat.mark_healthy()
            stop.wait(min(1.0, max(0.0, end - time.monotonic())))


def main() -> None:
    """Run a consumer until SIGTERM or SIGINT."""
    settings = config.ConsumerSettings.load()
    programs.observe("notification-consumer", settings)
    stop = threading.Event()
    stop_on_signals(stop, within=EXIT_WITHIN)
    heartbeat = Heartbeat(settings.heartbeat_file, end_after=WATCHDOG_TIMEOUT)
    programs.serve(settings, heartbeat.is_beating)
    queues = topology.load(config.TOPOLOGY_FILE)
    with ExitStack() as resources:
        handle = _shown(_handler(settings, RetryWhileUnavailable(stop, heartbeat), resources), settings)
        pool = resources.enter_context(ThreadPoolExecutor(settings.consumer_threads, thread_name_prefix="batch"))

        def open_session() -> ConsumerSession:
            return ConsumerSession(connect(settings.rabbitmq_url), pool, handle, queues, prefetch=settings.prefetch)

        Consumer(open_session, heartbeat).run(stop)
    log.info("consumer stopped")
    tracing.stop()


def _shown(handle: Handle, settings: config.ConsumerSettings) -> Handle:
    """Return a handler that shows how many batches it works on."""
    pool = Pool("batches", settings.consumer_threads)

    def handle_batch(batch: Any) -> Sequence[Outcome]:
        with pool.place():
            return handle(batch)

    return handle_batch


def _handler(settings: config.ConsumerSettings, retry: RetryWhileUnavailable, resources: ExitStack) -> Handle:
    database = mongo.connect(settings.mongo_url, "notification-consumer")
    clock = mongo.DatabaseClock(database)
    store = NotificationStore(database, clock, lease=settings.lease_seconds)
    smtp = SmtpPool(settings.smtp, settings.smtp_connections) if settings.smtp else None
    if smtp:
        resources.callback(smtp.close)
    notifier = Notifier(store, channels(smtp, settings.mail_from), retry, clock, start_within=settings.start_within)
    return partial(handle_messages, Composer(settings.shop).notifications_of, notifier)


if __name__ == "__main__":
    main()
