"""product-service for integration tests: its real wiring on a real database, with the verbs that tests use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
import pytest
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

import product_service
from chassis import mongo
from product_service.config import Settings
from product_service.store import Transactions
from tests.signing import PublishedKeys, bearer

ADMIN = bearer("admin", user="admin-1")
OTHER_ADMIN = bearer("admin", user="admin-2")
ORDERS = bearer("service", user="order-service")


class Shop:
    """product-service, with its database."""

    def __init__(self, app: OpenAPI, database: Any) -> None:
        self.app = app
        self.database = database

    @property
    def transactions(self) -> Transactions:
        """Return the transactions of the service, whose times a test may change."""
        transactions: Transactions = self.app.extensions["reservations"]._store._transactions
        return transactions

    def call(self, method: str, path: str, headers: Any = None, **arguments: Any) -> TestResponse:
        return self.app.test_client().open(path, method=method, headers=headers or {}, **arguments)

    def add(self, stock: int = 10, name: str = "Cup", price: Any = "9.90", **more: Any) -> dict[str, Any]:
        body = {"name": name, "price": price, "stock": stock, **more}
        answer = self.call("POST", "/products", ADMIN, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json)

    def product(self, product_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/products/{product_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def stock(self, product_id: str) -> int:
        return int(self.product(product_id)["stock"])

    def etag(self, product_id: str) -> str:
        return self.call("GET", f"/products/{product_id}").headers["ETag"]

    def put(self, product_id: str, headers: Any = None, **changed: Any) -> TestResponse:
        body = {"name": "Cup", "price": "9.90", "stock": 10, **changed}
        return self.call("PUT", f"/products/{product_id}", {**ADMIN, **(headers or {})}, json=body)

    def patch(self, product_id: str, headers: Any = None, **changed: Any) -> TestResponse:
        return self.call("PATCH", f"/products/{product_id}", {**ADMIN, **(headers or {})}, json=changed)

    def remove(self, product_id: str) -> TestResponse:
        return self.call("DELETE", f"/products/{product_id}", ADMIN)

    def change_stock(self, product_id: str, change: Any, key: str | None = None, headers: Any = ADMIN) -> TestResponse:
        extra = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", f"/products/{product_id}/stock", {**headers, **extra}, json={"change": change})

    def reserve(self, order_id: str, *lines: tuple[str, int], headers: Any = ORDERS) -> TestResponse:
        body = {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines]}
        return self.call("PUT", f"/reservations/{order_id}", headers, json=body)

    def release(self, order_id: str, headers: Any = ORDERS) -> TestResponse:
        return self.call("DELETE", f"/reservations/{order_id}", headers)

    def products(self, **query: Any) -> list[dict[str, Any]]:
        return [product for page in self.pages("/products", **query) for product in page]

    def pages(self, path: str, headers: Any = None, **query: Any) -> Iterator[list[dict[str, Any]]]:
        cursor = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            answer = self.call("GET", path, headers, query_string={**query, **more})
            assert answer.status_code == 200, answer.text
            yield answer.json["items"]
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return

    def held(self, product_id: str) -> int:
        held = self.database.reservations.find({"state": "held"})
        lines = [line for reservation in held for line in reservation["lines"]]
        return sum(line["quantity"] for line in lines if line["product_id"] == product_id)

    def contents(self) -> dict[str, list[Any]]:
        """Return everything that is stored."""
        return {
            name: list(self.database[name].find().sort("_id", 1))
            for name in ("products", "reservations", "stock_changes")
        }

    def assert_invariant(self, product_id: str) -> None:
        document = self.database.products.find_one({"_id": product_id})
        assert document["stock"] >= 0
        assert document["stock"] + self.held(product_id) == document["received"]


@contextmanager
def running(mongo_url: str, **settings: Any) -> Iterator[Shop]:
    """Run product-service in this process, on that database."""
    opened: list[Any] = []

    def connect(url: str, service: str) -> Any:
        opened.append(mongo_connect(url, service))
        return opened[-1]

    mongo_connect = mongo.connect
    with pytest.MonkeyPatch.context() as patch, pymongo.MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        patch.setattr(mongo, "connect", connect)
        patch.setattr("product_service.app.JwksClient", lambda _url: PublishedKeys())
        try:
            given = {"environment": "development", "mongo_url": mongo_url, "jwks_url": "http://unused", **settings}
            app = product_service.create_app(Settings(log_level="CRITICAL", **given))
            yield Shop(app, client.get_default_database())
        finally:
            for database in opened:
                database.client.close()
