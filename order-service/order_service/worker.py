"""The worker of order-service: `python -m order_service.worker`, as many as you like.

It does what an order's document says is due: publishes its outbox, releases its stock. Besides, it compares
product-service's reservations with orders: one without an order gets a failed order, one whose order does not live is
released. All of this is safe to do twice, so that workers need not know of each other.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from chassis import logs, mongo
from chassis.auth.client_credentials import ClientCredentials
from chassis.errors import Unavailable
from chassis.heartbeat import WATCHDOG_TIMEOUT, Heartbeat
from chassis.shutdown import stop_on_signals
from order_service import config
from order_service.model import NOT_LIVING, Order
from order_service.placing import failed_order
from order_service.products import ProductClient
from order_service.publisher import BrokerRefuses, BrokerUnavailable, Publisher
from order_service.store import OrderStore

BATCH = 100
POSTPONED = 2.0
RELEASE_SECONDS = 1.0
RELEASES_POSTPONED = 5.0  # longer than a round takes while product-service hangs, so that others get a turn
RECONCILE_EVERY = 5.0
RECONCILE_AGE = 15.0  # s; placing an order takes less, and one that takes longer finds its id taken
CHECK_EVERY = 5.0  # whether events can be published, after a refusal
CHECK_AWAY_EVERY = 30.0  # while RabbitMQ is away: each check may take seconds
EXIT_WITHIN = 25.0
PUBLISHING = "publishing events"

log = logging.getLogger(__name__)


class Worker:
    """Does what is due, until it is told to stop."""

    def __init__(
        self,
        store: OrderStore,
        products: ProductClient,
        publisher: Publisher,
        clock: Callable[[], datetime],
        *,
        poll: float,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._store = store
        self._products = products
        self._publisher = publisher
        self._clock = clock
        self._poll = poll
        self._heartbeat = heartbeat or Heartbeat()
        self._refusals = self._heartbeat.misconfigurations
        self._reconcile_at = self._check_at = 0.0
        self._is_checked = self._is_prepared = False

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; no outage ends this, each is logged and waited for.

        The heart beats each round, unless the worker is refused what it needs.
        """
        while not stop.is_set():
            self._heartbeat.kick_watchdog()
            self._check_publishing()
            try:
                with self._refusals.watch("the database"):
                    self._prepare()
                    busy = self.work()
            except Unavailable as exc:
                log.warning("waiting: %s", exc.detail)
                busy = False
                stop.wait(1)
            self._publisher.keep_alive()
            self._heartbeat.mark_healthy()
            if not busy:
                stop.wait(self._poll)
        self._publisher.close()

    def _prepare(self) -> None:
        """Prepare the database, as the web service does: this may be the first one to use it."""
        if not self._is_prepared:
            self._store.prepare()
            self._is_prepared = True

    def work(self) -> bool:
        """Do one round; tell whether there may be more to do at once. Raises Unavailable if the database is away."""
        orders = self._store.due(BATCH)
        self._publish([order for order in orders if order.outbox])
        for order in orders:
            if not order.outbox:
                self._store.rest(order.id)
        releases = self._store.releasable(BATCH)
        self._release(releases)
        self._reconcile_now_and_then()
        return BATCH in (len(orders), len(releases))

    def reconcile(self, *, older_than: float = RECONCILE_AGE) -> int:
        """Compare the reservations not yet compared with orders, and return how many stood without a living order.

        Raises Unavailable; what was not compared yet is compared the next time.
        """
        total = 0
        while (stray := self._compare_page(older_than)) is not None:
            total += stray
        return total

    def _compare_page(self, older_than: float) -> int | None:
        """Compare the next reservations, and return how many had no living order; None if there are no more."""
        cursor = self._store.cursor()
        with self._refusals.watch("product-service"):
            reservations, next_cursor = self._products.reservations(older_than=older_than, cursor=cursor)
        held = [order_id for order_id, state in reservations if state == "held"]
        statuses = self._store.statuses(held) if held else {}
        stray = [order_id for order_id in held if statuses.get(order_id) in (None, *NOT_LIVING)]
        for order_id in stray:
            self._settle(order_id, statuses.get(order_id))
        if next_cursor is None:
            return None
        self._store.advance_cursor(cursor, next_cursor)
        return len(stray)

    def _settle(self, order_id: str, status: str | None) -> None:
        """Give a held reservation without an order a failed one; release one whose order does not live."""
        if status is None:
            if self._store.insert(failed_order(order_id, self._clock())):  # its release is due with that
                log.warning("a reservation has no order: it is noted as failed", extra={"order_id": order_id})
                return
            status = self._store.statuses([order_id]).get(order_id)
        if status is None:
            raise Unavailable(f"Order {order_id} is being written.")
        if status in NOT_LIVING:
            log.warning("releasing the reservation of an order that is %s", status, extra={"order_id": order_id})
            self._products.release(order_id)

    def _publish(self, orders: list[Order]) -> None:
        if not orders:
            return
        try:
            self._publisher.publish(event for order in orders for event in order.outbox)
        except BrokerUnavailable as exc:
            self._note_outage("events wait in the outbox", exc)
            self._store.postpone([order.id for order in orders], POSTPONED)
        else:
            self._refusals.remove(PUBLISHING)
            self._store.published((order.id, [event["id"] for event in order.outbox]) for order in orders)

    def _check_publishing(self) -> None:
        """Find out at the start, and again after a refusal, whether events can be published."""
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + CHECK_AWAY_EVERY
        try:
            self._publisher.check()
        except BrokerUnavailable as exc:
            if isinstance(exc, BrokerRefuses) or not self._is_checked:
                self._note_outage("events will wait in the outbox", exc)
        else:
            self._refusals.remove(PUBLISHING)
            self._check_at = float("inf")
        self._is_checked = True

    def _note_outage(self, consequence: str, exc: BrokerUnavailable) -> None:
        if isinstance(exc, BrokerRefuses):
            self._refusals.add(PUBLISHING, f"they wait in the outbox. {exc}")
            self._check_at = time.monotonic() + CHECK_EVERY
        else:
            log.warning("%s: %s", consequence, exc)

    def _release(self, order_ids: list[str]) -> None:
        deadline = time.monotonic() + RELEASE_SECONDS
        for number, order_id in enumerate(order_ids):
            try:
                with self._refusals.watch("product-service"):
                    self._products.release(order_id)
            except Unavailable as exc:
                log.warning("stock waits to be released: %s", exc.detail)
                self._store.postpone_release(order_ids[number + 1 :], RELEASES_POSTPONED)
                self._store.postpone_release([order_id], RELEASES_POSTPONED + 1)  # behind them: it may always fail
                return
            self._store.released(order_id)
            if time.monotonic() > deadline:
                return  # the others' turn comes in the next round: events must not wait for all of them

    def _reconcile_now_and_then(self) -> None:
        if time.monotonic() < self._reconcile_at:
            return
        try:
            if self._compare_page(RECONCILE_AGE) is not None:
                return  # the next page in the next round, so that events need not wait for all of them
            self._store.step_back()
        except Unavailable as exc:
            log.warning("reconciliation waits: %s", exc.detail)
        self._reconcile_at = time.monotonic() + RECONCILE_EVERY


def main() -> None:
    """Run a worker until SIGTERM or SIGINT."""
    settings = config.WorkerSettings.load()
    logs.configure("order-worker", settings.log_level)
    database = mongo.connect(settings.mongo_url, "order-worker")
    token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    heartbeat = Heartbeat(settings.heartbeat_file, end_after=WATCHDOG_TIMEOUT)
    clock = mongo.DatabaseClock(database)
    worker = Worker(
        OrderStore(database, clock),
        ProductClient(settings.product_service_url, token, slots=1),
        Publisher(settings.rabbitmq_url),
        clock,
        poll=settings.poll_seconds,
        heartbeat=heartbeat,
    )
    stop = threading.Event()
    stop_on_signals(stop, within=EXIT_WITHIN)
    log.info("worker started")
    worker.run(stop)
    log.info("worker stopped")


if __name__ == "__main__":
    main()
