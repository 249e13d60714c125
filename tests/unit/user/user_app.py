"""user-service for unit tests: its real wiring on mongomock, with a clock that tests move."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import mongomock
import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

from chassis import mongo
from tests.clock import FakeClock
from user_service import create_app
from user_service.config import Settings
from user_service.keys import SigningKey, generate_key
from user_service.store import KeyStore

PASSWORD = "a long enough phrase"
SETTINGS: dict[str, Any] = {
    "environment": "development",
    "mongo_url": "mongodb://unused/users",
    "service_clients": {"order-service": "s3cret+/:="},
    "admin_email": "admin@example.com",
    "admin_password": "the-first-admin",
    "log_level": "WARNING",
}


class UserService:
    """The app, its database and its clock, with the requests that tests make."""

    def __init__(self, app: OpenAPI, database: Any, clock: FakeClock) -> None:
        self.app = app
        self.database = database
        self.clock = clock
        self.client: FlaskClient = app.test_client()

    def register(self, email: str = "ana@example.com", password: str = PASSWORD, **more: Any) -> TestResponse:
        return self.client.post("/register", json={"email": email, "password": password, **more})

    def login(
        self, email: str = "ana@example.com", password: str = PASSWORD, address: str = "192.0.2.1"
    ) -> TestResponse:
        body = {"email": email, "password": password}
        return self.client.post("/login", json=body, environ_base={"REMOTE_ADDR": address})

    def signed_in(self, email: str = "ana@example.com", password: str = PASSWORD) -> dict[str, str]:
        return bearer(self.login(email, password).json["access_token"])

    def admin(self) -> dict[str, str]:
        return self.signed_in(SETTINGS["admin_email"], SETTINGS["admin_password"])

    def refresh(self, token: str) -> TestResponse:
        return self.client.post("/refresh", json={"refresh_token": token})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@cache
def a_key() -> SigningKey:
    """Return a key that all tests share, because generating a key takes long."""
    return generate_key(1, datetime.now(UTC))


def make_user_service(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> UserService:
    database = mongomock.MongoClient(tz_aware=True).users
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    KeyStore(database).add(replace(a_key(), signs_from=clock()))
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: database)
    monkeypatch.setattr(mongo, "DatabaseClock", lambda _database: clock)
    return UserService(create_app(Settings(**{**SETTINGS, **settings})), database, clock)
