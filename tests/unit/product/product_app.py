"""product-service for unit tests: its real wiring on mongomock, which has no transactions."""

from typing import Any

import mongomock
import pytest
from flask_openapi3 import OpenAPI

import product_service
from chassis import mongo
from product_service.config import Settings
from tests.signing import PublishedKeys


def make_app(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> OpenAPI:
    """Return the app on an empty database in memory."""
    database = mongomock.MongoClient(tz_aware=True).products
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: database)
    monkeypatch.setattr("product_service.store.indexes.missing_feature", lambda _database: "")
    monkeypatch.setattr("product_service.app.JwksClient", lambda _url: PublishedKeys())
    urls = {"mongo_url": "mongodb://unused/products", "jwks_url": "http://unused"}
    return product_service.create_app(Settings(environment="development", log_level="CRITICAL", **urls, **settings))
