"""The worker of order-service: `python -m order_service.worker`, as many as you like; they share the work (`sharing`).

It publishes the events that are due (`outbox_relay`), releases the stock that is due and compares the reservations of
product-service with orders (`reconciler`). It settles payments (`payment_settler`).
"""

import logging
import threading
from contextlib import suppress
from typing import Any

from chassis import mongo
from chassis.auth.client_credentials import ClientCredentials
from chassis.errors import Unavailable
from chassis.heartbeat import WATCHDOG_TIMEOUT, Heartbeat
from chassis.shutdown import stop_on_signals
from chassis.telemetry import programs, tracing
from order_service import config
from order_service.backlog import Backlog
from order_service.orders import Orders
from order_service.outbox_relay import OutboxRelay
from order_service.payment.factory import make_provider
from order_service.payment.limits import CallLimiter
from order_service.payment.provider import PaymentProvider
from order_service.payment_settler import PaymentSettler
from order_service.payments import Payments
from order_service.product_client import ProductClient
from order_service.publisher import Publisher
from order_service.reconciler import Reconciler, StockReleaser
from order_service.sharing import Sharing
from order_service.store import OrderStore, Outbox, PaymentStore, ReconciliationCursor, WorkerLeases
from order_service.timings import Timings

log = logging.getLogger(__name__)


class Worker:
    """Does the due work, round by round, until it is asked to stop."""

    def __init__(
        self,
        database: Any,
        clock: mongo.DatabaseClock,
        products: ProductClient,
        publisher: Publisher,
        heartbeat: Heartbeat,
        timings: Timings,
        provider: PaymentProvider | None = None,
        *,
        name: str = "worker",
        batch: int = 100,
        payment_threads: int = 4,
    ) -> None:
        store, misconfigurations = OrderStore(database, clock), heartbeat.misconfigurations
        cursor = ReconciliationCursor(database, clock)
        outbox, self._store = Outbox(database, clock), store
        self.relay = OutboxRelay(outbox, publisher, clock, misconfigurations, timings, batch)
        self.releaser = StockReleaser(store, products, misconfigurations, timings, batch)
        self.reconciler = Reconciler(store, cursor, products, clock, misconfigurations, timings)
        payment_store = PaymentStore(database, clock)
        limiter = CallLimiter(payment_threads)  # not shown as a pool, see main
        payments = Payments(Orders(store, products, clock), payment_store, provider, limiter, clock)
        self.settler = PaymentSettler(payments, payment_store, misconfigurations, timings, batch, payment_threads)
        self.sharing = Sharing(WorkerLeases(database, clock), name, timings)
        self.backlog = Backlog(outbox, store, payment_store, clock, timings)
        self._publisher = publisher
        self._heartbeat = heartbeat
        self._poll = timings.poll
        self._has_indexes = False

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. The worker logs an outage and waits; a misconfiguration makes it unhealthy."""
        while not stop.is_set():
            self._heartbeat.kick_watchdog()
            self.relay.check()
            try:
                with self._heartbeat.misconfigurations.watch("the database"):
                    self._ensure_indexes()
                    is_busy = self.work()
            except Unavailable as exc:
                log.warning("worker paused: %s", exc.detail)
                is_busy = False
                stop.wait(1)
            self._publisher.keep_alive()
            self._heartbeat.mark_healthy()
            if not is_busy:
                stop.wait(self._poll)
        self._publisher.close()
        with suppress(Unavailable):
            self.sharing.leave()

    def work(self) -> bool:
        """Do one round; return whether more may be due at once. Raises Unavailable if the database is away."""
        share = self.sharing.current(is_working=not self.relay.is_failing)
        work = (self.relay.publish_due, self.releaser.release_due, self.settler.settle_due)
        has_more = [do(share.ids) for do in work]
        if share.has_the_rest:
            self.reconciler.run_if_due()
        self.backlog.measure_if_due()
        return any(has_more)

    def _ensure_indexes(self) -> None:
        """Create the indexes like the web service does: the worker may be the first to use the database."""
        if not self._has_indexes:
            self._store.ensure_indexes()
            self._has_indexes = True


def main() -> None:
    """Run a worker until SIGTERM or SIGINT."""
    settings = config.WorkerSettings.load()
    programs.observe("order-worker", settings)
    database = mongo.connect(settings.mongo_url, "order-worker")
    token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    clock, timings = mongo.DatabaseClock(database), Timings(poll=settings.poll_seconds)
    # Its only place is always taken while the worker catches up, but nobody waits for it: as a pool it would alarm.
    products = ProductClient(settings.product_service_url, token, max_concurrent=1, pool="")
    heartbeat = Heartbeat(settings.heartbeat_file, end_after=WATCHDOG_TIMEOUT)
    programs.serve(settings, heartbeat.is_beating)
    provider = make_provider(settings, database, clock)
    worker = Worker(
        database,
        clock,
        products,
        Publisher(settings.rabbitmq_url),
        heartbeat,
        timings,
        provider,
        name=settings.worker_name,
        batch=settings.worker_batch,
        payment_threads=settings.worker_payment_threads,
    )
    stop = threading.Event()
    stop_on_signals(stop, within=timings.exit_within)
    log.info("worker started")
    worker.run(stop)
    log.info("worker stopped")
    tracing.stop()


if __name__ == "__main__":
    main()
