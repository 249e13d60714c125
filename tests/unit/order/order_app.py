"""order-service for unit tests: its real wiring on mongomock, with stand-ins for other services and a clock to move."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import mongomock
import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

import order_service
from chassis import mongo
from chassis.heartbeat import Heartbeat
from order_service.config import Settings
from order_service.model import Item, Line, Outcome, Refusal, ReservationResult
from order_service.payment.factory import make_provider
from order_service.payment.provider import (
    CaptureResult,
    Charge,
    LedgerEntry,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from order_service.product_client import ProductServiceUnavailable
from order_service.publisher import BrokerMisconfigured, BrokerUnavailable
from order_service.store import OrderStore, PaymentStore, ReconciliationCursor
from order_service.timings import Timings
from order_service.worker import Worker
from tests.clock import FakeClock
from tests.signing import PublishedKeys, bearer

SETTINGS = Settings(
    environment="development",
    mongo_url="mongodb://unused/orders",
    jwks_url="http://unused/jwks",
    product_service_url="http://unused",
    token_url="http://unused/token",
    client_id="order-service",
    client_secret="a secret",
    log_level="ERROR",
)
ANA, BOB, ADMIN = bearer("customer", user="ana"), bearer("customer", user="bob"), bearer("admin", user="root")


class FakeProducts:
    """A product-service with prices and a stock, whose answers a test can change.

    `meanwhile` is called with the order's id after a reservation and before its answer.
    """

    def __init__(self) -> None:
        self.prices = {"mug": 1999, "pen": 5}
        self.stock = {"mug": 10, "pen": 10_000}
        self.held: dict[str, tuple[Item, ...]] = {}
        self.refused: dict[str, tuple[tuple[Item, ...], Refusal]] = {}
        self.asked: list[str] = []
        self.released: list[str] = []
        self.all_are_old = False
        self.page_size = 100
        self.away = False
        self.meanwhile: Callable[[str], None] = lambda _order_id: None

    def reserve(self, order_id: str, items: tuple[Item, ...]) -> ReservationResult:
        if self.away:
            raise ProductServiceUnavailable
        self.asked.append(order_id)
        reservation = self._reserve(order_id, items)
        self.meanwhile(order_id)
        if self.away:  # the answer is lost
            raise ProductServiceUnavailable
        return reservation

    def _reserve(self, order_id: str, items: tuple[Item, ...]) -> ReservationResult:
        if order_id in self.released:
            return ReservationResult(Outcome.RELEASED)
        is_new = order_id not in self.held and order_id not in self.refused
        if is_new:
            if refusal := self._refusal(items):
                self.refused[order_id] = (items, refusal)
            else:
                self.held[order_id] = items
                for item in items:
                    self.stock[item.product_id] -= item.quantity
        refused = self.refused.get(order_id)
        if (refused[0] if refused else self.held[order_id]) != items:
            return ReservationResult(Outcome.MISMATCH)
        if refused:
            return ReservationResult(Outcome.REFUSED, refusal=refused[1])
        lines = [Line(i.product_id, i.product_id.title(), self.prices[i.product_id], i.quantity) for i in items]
        return ReservationResult(Outcome.RESERVED if is_new else Outcome.ALREADY_RESERVED, tuple(lines), "EUR")

    def _refusal(self, items: tuple[Item, ...]) -> Refusal | None:
        for item in items:
            if item.product_id not in self.stock:
                errors = [{"field": "product_id", "message": f"there is no product {item.product_id!r}"}]
                return Refusal(422, "unknown-product", "Unknown Product", "Unknown.", {"errors": errors})
            available = self.stock[item.product_id]
            if available < item.quantity:
                line = {"product_id": item.product_id, "requested": item.quantity, "available": available}
                return Refusal(409, "insufficient-stock", "Insufficient Stock", "Not enough.", {"lines": [line]})
        return None

    def release(self, order_id: str) -> None:
        if self.away:
            raise ProductServiceUnavailable
        self.released.append(order_id)
        for item in self.held.pop(order_id, ()):
            self.stock[item.product_id] += item.quantity

    def stock_of(self, product_ids: Sequence[str]) -> dict[str, int]:
        assert len(product_ids) <= 50
        return {product_id: self.stock[product_id] for product_id in product_ids if product_id in self.stock}

    def reservations(self, *, older_than: float, cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
        if self.away:
            raise ProductServiceUnavailable
        start = int(cursor or 0)
        old = sorted(self.held) if self.all_are_old else []
        page = [(order_id, "held") for order_id in old[start : start + self.page_size]]
        return page, str(start + len(page)) if page else None

    def check(self) -> None:
        if self.away:
            raise ProductServiceUnavailable


class FakeProvider:
    """A payment provider like Stripe, which knows a charge by the reference that it gives.

    A test can change its answers. `meanwhile` gets the name of each call, after its effect and before its answer.
    """

    name = "fake"

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.captured: dict[str, int] = {}
        self.ended: set[str] = set()  # declined, or closed by a look-up
        self.refunds: list[str] = []
        self.declines = self.away = self.loses_answers = self.refuses = False
        self.meanwhile: Callable[[str], None] = lambda _call: None

    def check_method(self, method: str) -> None:
        pass

    def capture(self, charge: Charge, save_reference: Callable[[str], None]) -> CaptureResult:
        self._begin("capture", charge)
        save_reference(f"reference of {charge.key}")
        self.meanwhile("reference")
        if self.declines:
            self.ended.add(charge.key)
        elif charge.key not in self.ended:
            self.captured[charge.key] = charge.amount
        return self._answer("capture", charge)

    def look_up(self, charge: Charge) -> CaptureResult:
        self._begin("look_up", charge)
        if charge.reference is None:
            return CaptureResult(False, "No.")  # it knows nothing, and leaves it to the compare-and-set that follows
        if charge.key not in self.captured:
            self.ended.add(charge.key)
        return self._answer("look_up", charge)

    def refund(self, charge: Charge) -> None:
        self._begin("refund", charge)
        assert charge.key in self.captured, "nothing is refunded that was not captured"
        if charge.key not in self.refunds:
            self.refunds.append(charge.key)
        self._answer("refund", charge)

    def ledger(self) -> Iterator[LedgerEntry]:
        raise NotImplementedError

    def check(self) -> None:
        if self.refuses:
            raise ProviderMisconfigured("The key is wrong.")

    def _begin(self, call: str, charge: Charge) -> None:
        self.check()
        if self.away:
            raise ProviderUnavailable("away")
        self.calls.append((call, charge.key.rpartition(".")[2]))

    def _answer(self, call: str, charge: Charge) -> CaptureResult:
        self.meanwhile(call)
        if self.loses_answers:
            raise ProviderUnavailable("lost")
        return CaptureResult(charge.key in self.captured, "No.")


class FakePublisher:
    """Records the events, unless the broker is away or refuses."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.away = self.refuses = False

    def check(self) -> None:
        if self.refuses:
            raise BrokerMisconfigured("RabbitMQ says no.")
        if self.away:
            raise BrokerUnavailable

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        self.check()
        self.published.extend(events)

    def keep_alive(self) -> None:
        pass

    def close(self) -> None:
        pass


class Shop:
    """The app and its worker, with the verbs that tests use."""

    def __init__(
        self, app: OpenAPI, database: Any, clock: FakeClock, products: FakeProducts, provider: Any = None
    ) -> None:
        self.app = app
        self.provider = provider
        self.database = database
        self.clock = clock
        self.products = products
        self.publisher = FakePublisher()
        self.store = OrderStore(database, clock)  # type: ignore[arg-type]
        self.payments = PaymentStore(database, clock)  # type: ignore[arg-type]
        self.cursor = ReconciliationCursor(database, clock)  # type: ignore[arg-type]
        self.heartbeat = Heartbeat()
        self.worker = self.make_worker(self.heartbeat)
        self.client: FlaskClient = app.test_client()

    def make_worker(self, heartbeat: Heartbeat, *, name: str = "worker", batch: int = 100, **timings: float) -> Worker:
        return Worker(
            self.database,
            self.clock,  # type: ignore[arg-type]
            self.products,  # type: ignore[arg-type]
            self.publisher,  # type: ignore[arg-type]
            heartbeat,
            Timings(poll=0.01, **timings),
            self.provider,
            name=name,
            batch=batch,
        )

    def post(self, body: Any, headers: dict[str, str] = ANA, key: str | None = None) -> TestResponse:
        return self.client.post("/orders", json=body, headers=headers | ({"Idempotency-Key": key} if key else {}))

    def order(self, quantity: int = 2, product_id: str = "mug", **how: Any) -> TestResponse:
        return self.post({"product_id": product_id, "quantity": quantity}, **how)

    def ordered(self, quantity: int = 2, **how: Any) -> str:
        response = self.order(quantity, **how)
        assert response.status_code == 201
        return str(response.json["id"])

    def get(self, path: str, headers: dict[str, str] = ANA) -> TestResponse:
        return self.client.get(path, headers=headers)

    def act(self, order_id: str, action: str, headers: dict[str, str] = ADMIN) -> TestResponse:
        return self.client.post(f"/orders/{order_id}/{action}", headers=headers)

    def pay(self, order_id: str, method: str = "pm_card_ok", headers: dict[str, str] = ANA) -> TestResponse:
        return self.client.post(f"/orders/{order_id}/pay", json={"payment_method": method}, headers=headers)

    def documents(self) -> list[dict[str, Any]]:
        return list(self.database.orders.find())

    def document(self, order_id: str) -> dict[str, Any]:
        return dict(self.database.orders.find_one({"_id": order_id}))

    def work(self, rounds: int = 3) -> None:
        for _ in range(rounds):
            self.worker.work()


def _accept_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let mongomock's bulk writes take the argument that newer versions of pymongo pass."""
    builder = mongomock.collection.BulkOperationBuilder
    add_update = builder.add_update
    monkeypatch.setattr(builder, "add_update", lambda self, *args, sort=None, **more: add_update(self, *args, **more))


def make_shop(monkeypatch: pytest.MonkeyPatch, provider: Any = None, **settings: Any) -> Shop:
    """Return a shop. With a `provider`, or a `payment_provider` among the settings, orders must be paid."""
    database = mongomock.MongoClient(tz_aware=True).orders
    clock, products = FakeClock(), FakeProducts()
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: database)
    monkeypatch.setattr(mongo, "DatabaseClock", lambda _database: clock)
    _accept_sort(monkeypatch)
    monkeypatch.setattr("order_service.app.ProductClient", lambda *_args, **_kwargs: products)
    monkeypatch.setattr("order_service.app.JwksClient", lambda _url: PublishedKeys())
    changed = SETTINGS.model_copy(update=settings)
    provider = provider or make_provider(changed, database, clock)  # type: ignore[arg-type]
    monkeypatch.setattr("order_service.app.make_provider", lambda *_args, **_kwargs: provider)
    return Shop(order_service.create_app(changed), database, clock, products, provider)
