"""order-service with a real product-service over HTTP and a real MongoDB; user-service has a stand-in."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pymongo
import pytest
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import TestResponse

import order_service
import product_service.config
from chassis import mongo
from chassis.heartbeat import Heartbeat
from order_service.config import Settings
from order_service.payment.factory import make_provider
from order_service.product_client import ProductClient
from order_service.timings import Timings
from order_service.worker import Worker
from tests import ephemeral_servers
from tests.clock import NOON
from tests.local_server import Asked, serving
from tests.reconciling import reconcile
from tests.signing import bearer, jwks, token
from tests.waiting import until
from tools.stack.mongodb import MongoServer

ANA, ADMIN = bearer("customer", user="ana"), bearer("admin", user="root")
HOLDING_STOCK = {"confirmed", "paid", "shipped", "delivered"}
UNSETTLED = {"payment.status": {"$in": ["started", "unknown", "refund_due"]}}
STOCK, PRICE = 10, 1999
NOBODY = "http://127.0.0.1:1"


class Gate:
    """A proxy in front of product-service. `before` and `after` are called with each request."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None
        self.seen: list[str] = []
        self.done = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.seen.append(request[0])
        self.before(*request)
        answer = list(self.app(environ, start_response))
        self.after(*request)
        self.done += 1
        return answer


class RecordedEvents:
    """A publisher that records the ids of the events."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def check(self) -> None:
        pass

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        self.ids.extend(event["id"] for event in events)

    def keep_alive(self) -> None:
        pass

    def close(self) -> None:
        pass


class Stack:
    """The running services, with the verbs that tests use and the invariants that they check."""

    def __init__(self, settings: Settings, products_url: str, gate: Gate, resources: ExitStack) -> None:
        self.settings = settings
        self.products_url = products_url
        self.gate = gate
        self.timings = Timings(poll=0.01, publish_retry_delay=0.05, release_retry_delay=0.05)
        self._resources = resources
        database = self._database(settings.mongo_url)
        self.orders, self.worker_state = database.orders, database.worker_state
        self.products = self._database(products_url).products
        self.reservations = self._database(products_url).reservations
        self.ledger = database.payment_ledger
        self.app = order_service.create_app(settings)
        self.products_app = gate.app
        self.events = RecordedEvents()
        self._server: BaseWSGIServer | None = None
        self._port = int(settings.product_service_url.rpartition(":")[2])
        resources.callback(self.stop_products)

    def _database(self, url: str) -> Any:
        return self._resources.enter_context(pymongo.MongoClient(url, tz_aware=True)).get_default_database()

    def start_products(self) -> None:
        self._server = make_server("127.0.0.1", self._port, self.gate, threaded=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop_products(self) -> None:
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def order(self, quantity: int = 2, key: str | None = None, product_id: str = "mug") -> TestResponse:
        headers = ANA | ({"Idempotency-Key": key} if key else {})
        body = {"product_id": product_id, "quantity": quantity}
        return self.app.test_client().post("/orders", json=body, headers=headers)

    def pay(self, order_id: str, method: str = "pm_card_ok") -> TestResponse:
        body = {"payment_method": method}
        return self.app.test_client().post(f"/orders/{order_id}/pay", json=body, headers=ANA)

    def act(self, order_id: str, action: str) -> TestResponse:
        return self.app.test_client().post(f"/orders/{order_id}/{action}", headers=ADMIN)

    def worker(self, publisher: Any = None, name: str = "worker") -> Worker:
        """Return a new worker, with its own connections like those of another process."""
        database = mongo.connect(self.settings.mongo_url, "order-worker")
        client = ProductClient(self.settings.product_service_url, lambda: token("service"), max_concurrent=1)
        self._resources.callback(client._pool.renew)
        clock = mongo.DatabaseClock(database)
        provider = make_provider(self.settings, database, clock)
        events = publisher or self.events
        return Worker(database, clock, client, events, Heartbeat(), self.timings, provider, name=name)

    def recover(self, worker: Worker | None = None) -> None:
        """Let a worker compare all reservations, whatever their age, and do everything that is due."""
        worker = worker or self.worker()
        worker.reconciler.next_run = float("inf")
        reconcile(worker, min_age=0)

        def is_done() -> bool:
            self.orders.update_many(UNSETTLED, {"$set": {"payment_due": NOON}})
            worker.work()
            due = any(self.orders.count_documents({field: {"$exists": True}}) for field in ("due", "release"))
            return not (due or self.orders.count_documents(UNSETTLED))

        until(is_done, "nothing is due any more")

    def stock(self, product_id: str = "mug") -> int:
        return int(self.products.find_one({"_id": product_id})["stock"])

    def states(self) -> list[str]:
        return sorted(document["status"] for document in self.orders.find())

    def check_invariants(self) -> None:
        """Check the invariants that hold whenever nothing is in progress."""
        held = {r["_id"]: r["lines"] for r in self.reservations.find({"state": "held"})}
        holders = {o["_id"]: o["lines"] for o in self.orders.find({"status": {"$in": list(HOLDING_STOCK)}})}
        assert held == holders, "stock is held for exactly the orders that hold stock"
        for product in self.products.find():
            taken = sum(
                line["quantity"] for lines in held.values() for line in lines if line["product_id"] == product["_id"]
            )
            assert product["stock"] >= 0, "nothing is oversold"
            assert product["stock"] + taken == product["received"], "every unit is accounted for"
        self._check_money()

    def _check_money(self) -> None:
        """Check that the bank has kept exactly the money of the orders that are paid, and given the rest back once."""
        entries = list(self.ledger.find({"outcome": {"$in": ["captured", "refunded"]}}))
        kept: Counter[tuple[str, int]] = Counter()
        for entry in entries:
            sign = 1 if entry["outcome"] == "captured" else -1
            kept[entry["order_id"], entry["attempt"]] += sign * entry["amount"]
        paid = {
            (order["_id"], order["payment"]["attempt"]): order["total"]
            for order in self.orders.find({"payment.status": "paid"})
        }
        assert +kept == paid, "the bank keeps the money of paid orders only"
        assert -kept == {}, "nothing is refunded twice"
        assert not self.orders.count_documents(
            {"payment.status": "paid", "status": {"$in": ["confirmed", "cancelled"]}}
        )
        refunded = {entry["order_id"] for entry in entries if entry["outcome"] == "refunded"}
        assert refunded == {order["_id"] for order in self.orders.find({"payment.status": "refunded"})}


@contextmanager
def order_stack(server: MongoServer, **settings: Any) -> Iterator[Stack]:
    """Run the services on fresh databases; `settings` are further settings of order-service."""
    with ExitStack() as resources, pytest.MonkeyPatch.context() as patch:
        orders_url, products_url = (resources.enter_context(ephemeral_servers.database(server)) for _ in range(2))
        close_databases(resources, patch)
        _quiet("werkzeug", patch)
        user_service = resources.enter_context(serving(as_user_service))
        product_settings = product_service.config.Settings(
            environment="development",
            mongo_url=products_url,
            jwks_url=f"{user_service.url}/jwks",
            log_level="CRITICAL",
        )
        product_app = product_service.create_app(product_settings)
        settings = Settings(
            environment="development",
            mongo_url=orders_url,
            jwks_url=f"{user_service.url}/jwks",
            product_service_url=f"http://127.0.0.1:{_free_port()}",
            token_url=f"{user_service.url}/token",
            client_id="order-service",
            client_secret="a secret",
            log_level="CRITICAL",
            **settings,
        )
        stack = Stack(settings, products_url, Gate(product_app), resources)
        for product_id in ("mug", "pen"):
            stack.products.insert_one(a_product(product_id))
        stack.start_products()
        yield stack


def _quiet(logger: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.getLogger(logger), "disabled", True)


def close_databases(resources: ExitStack, patch: pytest.MonkeyPatch) -> None:
    """Close the connections that services open from now on, at the end of the test."""
    connect = mongo.connect

    def remember(*args: Any, **kwargs: Any) -> Any:
        database = connect(*args, **kwargs)
        resources.callback(database.client.close)
        return database

    patch.setattr(mongo, "connect", remember)


def as_user_service(asked: Asked) -> tuple[int, Any]:
    """Answer like user-service, with a token or the keys."""
    if asked.path == "/token":
        return 200, {"access_token": token("service", exp=int(time.time()) + 3600), "expires_in": 3600}
    return 200, jwks()


def _free_port() -> int:
    server = make_server("127.0.0.1", 0, lambda *_: [])
    server.server_close()
    return server.port


def a_product(product_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "_id": product_id,
        "name": product_id.title(),
        "price": PRICE,
        "currency": "EUR",
        "stock": STOCK,
        "received": STOCK,
        "hidden": False,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def without_product_service(settings: Settings) -> Settings:
    """Return settings of a process that cannot reach product-service."""
    return settings.model_copy(update={"product_service_url": NOBODY})
