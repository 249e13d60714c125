"""The work of order-service in a process of its own, which may die at a crash point: see `dying`.

`SENT` is the crash point after a request to product-service is sent and before its answer is read.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from urllib3.connection import HTTPConnection

from chassis import mongo
from chassis.auth.client_credentials import ClientCredentials
from chassis.heartbeat import Heartbeat
from order_service import app, create_app
from order_service.config import Settings
from order_service.payment.factory import make_provider
from order_service.product_client import ProductClient
from order_service.publisher import Publisher
from order_service.store import documents
from order_service.timings import Timings
from order_service.worker import Worker
from tests.integration import dying
from tests.integration.dying import NOWHERE, PatientClient
from tests.integration.order_stack import NOBODY, RecordedEvents, Stack
from tests.reconciling import reconcile as reconcile_now
from tests.signing import token

SENT = "sent"


def run(
    work: Callable[..., None], settings: Settings, *arguments: Any, point: str = NOWHERE, ahead: float = 0.0
) -> None:
    """Run a function of this module as `dying.run` does.

    The clocks of that process are `ahead` seconds ahead.
    """
    dying.start(_run, work, settings, arguments, point, ahead, dies=bool(point))


def place(settings: Settings, headers: dict[str, str], body: dict[str, Any]) -> None:
    create_app(settings).test_client().post("/orders", json=body, headers=headers)


def act(settings: Settings, headers: dict[str, str], order_id: str, action: str) -> None:
    create_app(settings).test_client().post(f"/orders/{order_id}/{action}", headers=headers)


def pay(settings: Settings, headers: dict[str, str], order_id: str, method: str) -> None:
    body = {"payment_method": method}
    create_app(settings).test_client().post(f"/orders/{order_id}/pay", json=body, headers=headers)


def work(settings: Settings, broker_url: str | None = None, rounds: int = 3) -> None:
    worker = make_worker(settings, broker_url)
    for _ in range(rounds):
        worker.work()


def reconcile(settings: Settings) -> None:
    worker = make_worker(settings, None)
    reconcile_now(worker, min_age=0)
    worker.reconciler.cursor.step_back()


def leave_reservations(stack: Stack, number: int) -> list[str]:
    """Leave reservations of one unit without an order, like processes that die in between; return the ids."""
    ids = [uuid.uuid4().hex for _ in range(number)]
    service = {"Authorization": f"Bearer {token('service')}"}
    lines = {"lines": [{"product_id": "mug", "quantity": 1}]}
    for order_id in ids:
        answer = stack.products_app.test_client().put(f"/reservations/{order_id}", json=lines, headers=service)
        assert answer.status_code == 201
    return ids


def make_worker(settings: Settings, broker_url: str | None) -> Worker:
    database = mongo.connect(settings.mongo_url, "order-worker")
    service_token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    client = PatientClient(settings.product_service_url, service_token, max_concurrent=1)
    publisher: Any = Publisher(broker_url) if broker_url else RecordedEvents()
    clock = mongo.DatabaseClock(database)
    provider = make_provider(settings, database, clock)
    return Worker(database, clock, client, publisher, Heartbeat(), Timings(), provider)


def _run(work: Callable[..., None], settings: Settings, arguments: tuple[Any, ...], point: str, ahead: float) -> None:
    if ahead:
        _set_clocks(ahead)
    dying.be_patient()
    if settings.product_service_url == NOBODY:
        app.ProductClient = partial(ProductClient, call_deadline=1.0)  # type: ignore[assignment,misc]
    if point == SENT:
        _die_when_sent_to(settings.product_service_url)
    elif point:
        dying.die_at(point)
    work(settings, *arguments)


def _die_when_sent_to(url: str) -> None:
    read_answer = HTTPConnection.getresponse

    def dying(connection: HTTPConnection) -> Any:
        if url.endswith(f":{connection.port}"):
            os.kill(os.getpid(), signal.SIGKILL)
        return read_answer(connection)

    HTTPConnection.getresponse = dying  # type: ignore[method-assign]


def _set_clocks(ahead: float) -> None:
    """Make the clocks of this process wrong, the wall clock and the monotonic one."""

    class WrongTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "WrongTime":
            return cls.fromtimestamp(time.time(), tz)

    day, monotonic = time.time, time.monotonic
    time.time = lambda: day() + ahead
    time.monotonic = lambda: monotonic() + ahead
    for module in (mongo, documents):
        module.datetime = WrongTime  # type: ignore[attr-defined]
