"""No route is hidden: each is described, or one that every service has, and states who may use it."""

import re
from collections.abc import Callable

import pytest
from flask_openapi3 import OpenAPI

import notification_service
from chassis import mongo
from chassis.auth import allowed_roles
from notification_service.config import Settings
from tests.unit import order_app, product_app, user_app
from tests.unit.notification_app import make_database

EVERY_SERVICE = {"/health", "/ready", "/openapi.json", "/docs", "/docs/start.js", "/docs/assets/{name}"}


def notifications(monkeypatch: pytest.MonkeyPatch) -> OpenAPI:
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: make_database())
    return notification_service.create_app(Settings("unused", "http://unused/jwks.json", log_level="CRITICAL"))


APPS: dict[str, Callable[[pytest.MonkeyPatch], OpenAPI]] = {
    "user-service": lambda monkeypatch: user_app.make_shop(monkeypatch).app,
    "product-service": product_app.make_app,
    "order-service": lambda monkeypatch: order_app.make_shop(monkeypatch).app,
    "notification-service": notifications,
}


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OpenAPI:
    return APPS[request.param](monkeypatch)


def test_every_route_is_described_and_says_who_may_use_it(app: OpenAPI) -> None:
    description = app.test_client().get("/openapi.json").json["paths"]
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        roles = allowed_roles(app.view_functions[rule.endpoint])
        assert roles is not None, path
        if path in EVERY_SERVICE:
            assert (roles, (rule.methods or set()) - {"HEAD", "OPTIONS"}) == (frozenset(), {"GET"}), path
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = description[path][method.lower()]
            assert bool(operation.get("security")) == bool(roles), path
            assert {"401", "403"} <= set(operation["responses"]) or not roles or path == "/token", path
