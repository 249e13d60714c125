"""No route is hidden: each is described, or one that every service has, and states who may use it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask_openapi3 import OpenAPI

import notification_service
from chassis import mongo
from chassis.auth.access import allowed_roles
from chassis.config import DEVELOPMENT_ORIGINS
from chassis.errors import Unavailable
from notification_service.config import Settings
from product_service.store import Indexes
from tests.signing import bearer
from tests.unit.notification.notification_app import make_database
from tests.unit.order import order_app
from tests.unit.product import product_app
from tests.unit.user import user_app

EVERY_SERVICE = {"/health", "/ready", "/openapi.json", "/docs", "/docs/start.js", "/docs/assets/{name}", "/metrics"}

PAGE = DEVELOPMENT_ORIGINS[0]
SENT = "authorization,content-type,idempotency-key,if-match,if-none-match,x-request-id"  # as a browser asks


def notifications(monkeypatch: pytest.MonkeyPatch) -> OpenAPI:
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: make_database())
    return notification_service.create_app(
        Settings(
            environment="development",
            mongo_url="mongodb://unused/n",
            jwks_url="http://unused/jwks.json",
            log_level="CRITICAL",
        )
    )


APPS: dict[str, Callable[[pytest.MonkeyPatch], OpenAPI]] = {
    "user-service": lambda monkeypatch: user_app.make_user_service(monkeypatch).app,
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


def test_the_checks_of_a_request_have_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns from a later check what is behind a closed door."""
    client = product_app.make_app(monkeypatch).test_client()
    request: dict[str, Any] = {
        "path": "/reservations/o1?a=1&a=2",
        "headers": {"Host": "a b", "If-Match": '"1"', "Content-Type": "text/plain"},
        "data": "{",
    }
    seen = []
    for repair in (
        lambda: request["headers"].update(Host="localhost"),
        lambda: request["headers"].update(bearer("customer")),
        lambda: request["headers"].update(bearer("service")),
        lambda: request["headers"].pop("If-Match"),
        lambda: request.update(path="/reservations/o1"),
        lambda: request["headers"].update({"Content-Type": "application/json"}),
        lambda: request.update(data="{}"),
    ):
        seen.append(client.put(**request).status_code)
        repair()
    assert [*seen, client.put(**request).status_code] == [400, 401, 403, 412, 422, 415, 400, 422]


def test_a_page_may_call_every_route_with_every_header_of_the_api(app: OpenAPI) -> None:
    """Nothing is asked for before the request itself: no token, and no database."""
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            asked = {"Origin": PAGE, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": SENT}
            answer = app.test_client().options(re.sub(r"<[^>]+>", "1", rule.rule), headers=asked)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE), rule
            assert method in answer.headers["Access-Control-Allow-Methods"].split(", "), rule
            allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
            assert set(SENT.split(",")) <= set(allowed), rule


def test_a_preflight_asks_for_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    client = product_app.make_app(monkeypatch, cors_origins=("https://shop.example",)).test_client()
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT"}
    answer = client.options("/reservations/o1", headers=asked)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://shop.example")


def test_a_service_that_started_without_its_database_prepares_it_for_the_first_request_that_may_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared: list[bool] = []
    away = True

    def prepare(_: Indexes) -> None:
        if away:
            raise Unavailable("away")
        prepared.append(True)

    monkeypatch.setattr(Indexes, "ensure_indexes", prepare)
    client = product_app.make_app(monkeypatch).test_client()
    preflight = client.options("/products", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    assert (preflight.status_code, prepared) == (200, [])
    assert (client.get("/products").status_code, client.put("/reservations/o1").status_code) == (503, 401)
    away = False
    assert ([client.get("/products").status_code for _ in range(2)], prepared) == ([200, 200], [True])


def test_every_problem_and_every_operation_is_explained_in_the_api_docs(app: OpenAPI) -> None:
    paths = app.test_client().get("/openapi.json").json["paths"]
    for place, operation in ((path, operation) for path, methods in paths.items() for operation in methods.values()):
        assert operation.get("summary"), place
        assert operation.get("tags"), place
        for status, response in operation["responses"].items():
            problem = response.get("content", {}).get("application/problem+json", {})
            assert problem.get("examples") or status < "400" or place == "/token", (place, status)
