"""Everyone against everything: one table of who gets which answer from which route.

A route that the OpenAPI descriptions name and the table does not have fails `test_the_table_has_every_route`: add a
row, and to `BODIES` what it takes. `expired` and `forged` are tokens that claim every role; `forged` is each kind in
turn.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.e2e.clients import Client, notifications_of
from tests.e2e.forgery import Forger, forger
from tests.e2e.shop import Shop

CALLERS = ("anonymous", "customer", "other", "admin", "service", "expired", "forged")

TABLE = """
user-service          POST    /register                      201 201 201 201 201 201 201
user-service          POST    /login                         200 200 200 200 200 200 200
user-service          POST    /refresh                       200 200 200 200 200 200 200
user-service          POST    /logout                        204 204 204 204 204 204 204
user-service          POST    /token                         401 401 401 401 401 401 401
user-service          GET     /.well-known/jwks.json         200 200 200 200 200 200 200
user-service          GET     /users/me                      401 200 200 200 403 401 401
user-service          PATCH   /users/me                      401 200 200 200 403 401 401
user-service          POST    /users/me/password             401 204 204 204 403 401 401
user-service          GET     /users                         401 403 403 200 403 401 401
user-service          GET     /users/{user_id}               401 403 403 200 403 401 401
user-service          PUT     /users/{user_id}/roles         401 403 403 200 403 401 401
product-service       GET     /products                      200 200 200 200 200 200 200
product-service       GET     /categories                    200 200 200 200 200 200 200
product-service       GET     /products/{product_id}         200 200 200 200 200 200 200
product-service       POST    /products                      401 403 403 201 403 401 401
product-service       PUT     /products/{product_id}         401 403 403 200 403 401 401
product-service       PATCH   /products/{product_id}         401 403 403 200 403 401 401
product-service       DELETE  /products/{product_id}         401 403 403 204 403 401 401
product-service       POST    /products/{product_id}/stock   401 403 403 200 403 401 401
product-service       GET     /reservations                  401 403 403 403 200 401 401
product-service       PUT     /reservations/{order_id}       401 403 403 403 201 401 401
product-service       DELETE  /reservations/{order_id}       401 403 403 403 204 401 401
order-service         POST    /orders                        401 201 201 201 403 401 401
order-service         GET     /orders                        401 200 200 200 403 401 401
order-service         GET     /orders/{order_id}             401 200 404 200 403 401 401
order-service         POST    /orders/{order_id}/pay         401 200 404 404 403 401 401
order-service         POST    /orders/{order_id}/cancel      401 200 404 200 403 401 401
order-service         POST    /orders/{order_id}/ship        401 403 403 200 403 401 401
order-service         POST    /orders/{order_id}/deliver     401 403 403 200 403 401 401
order-service         POST    /payments/webhooks/stripe      404 404 404 404 404 404 404
notification-service  GET     /notifications                 401 200 200 200 403 401 401
"""
EVERY_SERVICE = ("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/docs/start.js")


@dataclass(frozen=True)
class Row:
    """What everybody gets from one route, in the order of `CALLERS`."""

    service: str
    method: str
    path: str
    expected: tuple[int, ...]


class World:
    """The shop with its people, and the things that requests are about; whatever a request may change is new."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.customer, self.other, self.admin = (Client(shop).register() for _ in range(3))
        self._root = Client(shop).login(shop.admin_email, shop.admin_password)
        given = self._root.request("PUT", f"/users/{self.admin.id}/roles", json={"roles": ["admin"]})
        assert given.status_code == 200, given.text
        self.admin.login(self.admin.email, self.admin.password)
        self.forger: Forger = forger(shop, self.customer)
        self.mug = self.product()
        self._service_token = service_token(shop)
        self._reservations: list[str] = []
        self.session = requests.Session()

    def token(self, caller: str) -> str | None:
        """Return the access token of somebody, None for nobody."""
        if caller == "service":
            return self._service_token
        return getattr(self, caller).tokens["access_token"] if caller != "anonymous" else None

    def password(self, caller: str) -> str:
        return getattr(self, caller, self.customer).password

    def product(self) -> str:
        mug = {"name": "Mug", "price": "8.00", "stock": 1000, "category": "access"}
        return str(self._root.post("/products", mug).json()["id"])

    def order(self, action: str = "") -> str:
        """Return a new order of the customer, in the status in which this action is allowed."""
        order_id = self.customer.post("/orders", {"product_id": self.mug, "quantity": 1}).json()["id"]
        if action in ("ship", "deliver"):
            pay = {"payment_method": "pm_card_ok"}
            assert self.customer.post(f"/orders/{order_id}/pay", pay).status_code == 200
        if action == "deliver":
            assert self._root.post(f"/orders/{order_id}/ship").status_code == 200
        return str(order_id)

    def reservation(self) -> str:
        """Return an order id that no order has; what is reserved for it is released in the end."""
        self._reservations.append(uuid.uuid4().hex)
        return self._reservations[-1]

    def refresh_token(self) -> str:
        account = {"email": self.customer.email, "password": self.customer.password}
        return str(self.customer.post("/login", account).json()["refresh_token"])

    def url(self, row: Row) -> str:
        path = row.path
        if "{order_id}" in path:
            ours = row.service == "order-service"
            path = path.format(order_id=self.order(path.rpartition("/")[2]) if ours else self.reservation())
        if "{product_id}" in path:
            path = path.format(product_id=self.product() if row.method == "DELETE" else self.mug)
        return self.shop.urls[row.service] + path.format(user_id=self.other.id)

    def close(self) -> None:
        headers = {"Authorization": f"Bearer {self._service_token}"}
        for order_id in self._reservations:
            url = f"{self.shop.urls['product-service']}/reservations/{order_id}"
            assert self.session.delete(url, headers=headers, timeout=30).status_code == 204
        for client in (self.customer, self.other, self.admin, self._root, self.session):
            client.close()


BODIES: dict[tuple[str, str], Callable[[World, str], Any]] = {
    ("POST", "/register"): lambda *_: {"email": f"{uuid.uuid4().hex}@example.com", "password": uuid.uuid4().hex},
    ("POST", "/login"): lambda world, _: {"email": world.customer.email, "password": world.customer.password},
    ("POST", "/refresh"): lambda world, _: {"refresh_token": world.refresh_token()},
    ("POST", "/logout"): lambda world, _: {"refresh_token": world.refresh_token()},
    ("PATCH", "/users/me"): lambda *_: {"name": "Somebody"},
    ("POST", "/users/me/password"): lambda world, caller: {
        "current_password": world.password(caller),
        "new_password": world.password(caller),
    },
    ("PUT", "/users/{user_id}/roles"): lambda *_: {"roles": ["customer"]},
    ("POST", "/products"): lambda *_: {"name": "Mug", "price": "8.00", "stock": 1},
    ("PUT", "/products/{product_id}"): lambda *_: {"name": "Mug", "price": "8.00", "stock": 1000},
    ("PATCH", "/products/{product_id}"): lambda *_: {"price": "8.00"},
    ("POST", "/products/{product_id}/stock"): lambda *_: {"change": 1},
    ("PUT", "/reservations/{order_id}"): lambda world, _: {"lines": [{"product_id": world.mug, "quantity": 1}]},
    ("POST", "/orders/{order_id}/pay"): lambda *_: {"payment_method": "pm_card_ok"},
    ("POST", "/orders"): lambda world, _: {"product_id": world.mug, "quantity": 1},
}


def rows() -> list[Row]:
    """Return the rows of the table, and those of what every service has."""
    parts = [line.split() for line in TABLE.strip().splitlines()]
    named = [Row(service, method, path, tuple(map(int, expected))) for service, method, path, *expected in parts]
    services = dict.fromkeys(row.service for row in named)
    closed = {"/metrics"} if Shop.from_environment() else set()  # the gateway of docker compose does not pass it on
    statuses = {path: 404 if path in closed else 200 for path in EVERY_SERVICE}
    return named + [Row(service, "GET", path, (statuses[path],) * 7) for service in services for path in EVERY_SERVICE]


def service_token(shop: Shop) -> str:
    """Return an access token of order-service."""
    credentials = ("order-service", shop.client_secret)
    form = {"grant_type": "client_credentials"}
    return str(requests.post(f"{shop.user_url}/token", data=form, auth=credentials, timeout=30).json()["access_token"])


@pytest.fixture(scope="module")
def world(shop: Shop) -> Iterator[World]:
    made = World(shop)
    yield made
    made.close()


def tokens_of(world: World, caller: str, *, is_open: bool) -> dict[str, str | None]:
    """Return the tokens to try by name: one of each kind, or any one where none is asked for."""
    if caller == "forged":
        forgeries = world.forger.forgeries
        return dict(list(forgeries.items())[: 1 if is_open else None])
    if caller == "expired":
        if world.forger.signing_key is None:
            pytest.skip("the signing key is needed, and this shop's database is out of reach")
        return {"expired": world.forger.expired}
    return {caller: world.token(caller)}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.service} {row.method} {row.path}")
def test_everyone_against_everything(world: World, row: Row, caller: str) -> None:
    expected = row.expected[CALLERS.index(caller)]
    url = world.url(row)
    body = BODIES.get((row.method, row.path), lambda *_: None)(world, caller)
    for name, token in tokens_of(world, caller, is_open=expected < 400).items():
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = world.session.request(row.method, url, json=body, headers=headers, timeout=30)
        assert answer.status_code == expected, (name, answer.text[:300])
        if expected in (401, 403, 404) and row.path != "/token":
            assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("service", dict.fromkeys(row.service for row in rows()))
def test_the_table_has_every_route(shop: Shop, service: str) -> None:
    paths = requests.get(f"{shop.urls[service]}/openapi.json", timeout=30).json()["paths"]
    described = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    tabled = {(row.method, row.path) for row in rows() if row.service == service and row.path not in EVERY_SERVICE}
    assert described == tabled


def test_lists_have_only_what_is_ones_own(world: World) -> None:
    order_id = world.order()
    notifications_of(world.customer, 1)
    assert order_id in world.customer.get("/orders").text
    for path in ("/orders", "/notifications"):
        owners = world.other.get(path, params={"limit": 100}).text
        assert order_id not in owners
        assert world.customer.id not in owners
        assert world.other.get(path, params={"user_id": world.customer.id}).status_code == 403
    assert order_id in world.admin.get("/orders", params={"user_id": world.customer.id}).text


@pytest.mark.parametrize("extra", [{"roles": ["admin"]}, {"role": "admin"}, {"is_admin": True}, {"id": "1"}])
def test_nobody_gives_a_role_to_themselves(world: World, extra: dict[str, Any]) -> None:
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery"}
    assert world.customer.post("/register", {**account, **extra}).status_code == 422
    assert world.customer.post("/login", account).status_code == 401
    assert world.customer.request("PATCH", "/users/me", json={"name": "Ada", **extra}).status_code == 422
    assert world.customer.get("/users/me").json()["roles"] == ["customer"]


def test_an_order_of_somebody_else_looks_like_one_that_does_not_exist(world: World) -> None:
    ids = (world.order(), uuid.uuid4().hex)
    texts = [world.other.get(f"/orders/{order_id}", headers={"X-Request-ID": "r"}).text for order_id in ids]
    assert texts[0].replace(ids[0], ids[1]) == texts[1]
