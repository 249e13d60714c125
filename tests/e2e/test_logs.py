"""Logs and errors tell nothing that identifies a person, opens a door, or shows how the code is built.

A walk that fails in every expected way, then everything that the shop has logged so far is searched, other tests' part
included.
"""

import json
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.clients import Client, notifications_of
from tests.e2e.forgery import forger
from tests.e2e.shop import Shop
from tests.e2e.test_access import service_token
from tools.stack.stack import Stack

SERVERS = ("mongodb", "rabbitmq")  # not ours: their logs are searched for secrets only
PHONE = "+442079460000"
PERSONAL_OR_SECRET = {
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}"),
    "a JWT": re.compile(r"eyJ[\w-]{10,}\.[\w-]+"),
    "a private key": re.compile(r"PRIVATE KEY"),
    "a URL with a password": re.compile(r"[a-z]+://[^\s/:@\"]+:[^\s/@\"]+@"),
    "a password hash": re.compile(r"\$argon2"),
    "a stack trace": re.compile(r"Traceback|\"exception\"|File \\?\".*\.py"),
}


class Walk:
    """A customer to whom everything happens; `errors` are the answers that told so."""

    def __init__(self, shop: Shop, customer: Client, product_id: str) -> None:
        self._shop, self._customer, self._product_id = shop, customer, product_id
        self.errors: list[str] = []
        known = forger(shop, customer)
        self._token = str(customer.tokens["access_token"])
        self._forged = [known.expired, *known.forgeries.values()]
        self.secrets = [customer.email, customer.password, PHONE, self._token, customer.tokens["refresh_token"]]
        self.secrets += [service_token(shop), known.signing_key, *self._forged]

    def go(self) -> None:
        """Make every kind of request that is refused."""
        for token in self._forged:
            self._refused(401, "GET", "/orders", headers={"Authorization": f"Bearer {token}"})
        self._sign_in_wrongly()
        self._send_rubbish()
        self._refused(409, "POST", "/orders", json={"product_id": self._product_id, "quantity": 1000})
        self._refused(422, "POST", "/orders", json={"product_id": "nothing", "quantity": 1})
        self._break_the_protocol()

    def _sign_in_wrongly(self) -> None:
        account = {"email": self._customer.email, "password": self._customer.password}
        self._refused(401, "POST", "/login", json={**account, "password": "wrong horse battery"})
        self._refused(409, "POST", "/register", json=account)
        spent = self._customer.post("/login", account).json()["refresh_token"]
        fresh = self._customer.post("/refresh", {"refresh_token": spent}).json()["refresh_token"]
        self.secrets += ["wrong horse battery", spent, fresh]
        self._refused(401, "POST", "/refresh", json={"refresh_token": spent})
        self._refused(401, "POST", "/token", data={"grant_type": "client_credentials"}, auth=("order-service", spent))

    def _send_rubbish(self) -> None:
        email, password = self._customer.email, self._customer.password
        self._refused(422, "POST", "/login", json={"email": [email], "password": {"$ne": password}})
        self._refused(422, "POST", "/register", json={"email": email, "password": password, "roles": [password]})
        self._refused(400, "POST", "/login", data=f'{{"password": "{password}"', headers={"Content-Type": JSON})
        self._refused(404, "GET", f"/nothing/{email}", params={"token": self._token})
        self._refused(422, "GET", "/products", params={"access_token": self._token})

    def _break_the_protocol(self) -> None:
        """Send what gunicorn refuses itself."""
        address = urlsplit(self._shop.user_url)
        long = "x" * 9000
        lines = (
            f"GET /?token={self._token} HTTP/9.9",
            self._token,
            f"GET /{long} HTTP/1.1",
            f"GET / HTTP/1.1\r\nA: {long}",
        )
        for request in lines:
            with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
                connection.sendall(f"{request}\r\n\r\n".encode())
                answer = connection.makefile("rb").read().decode()
            assert re.match(r"HTTP/1.1 4\d\d ", answer), answer
            assert not re.search(r"gunicorn/|Python/|\d+\.\d+\.\d+", answer)

    def _refused(self, status: int, method: str, path: str, **arguments: object) -> None:
        answer = self._customer.request(method, path, **arguments)
        assert answer.status_code == status, answer.text
        assert answer.headers.get("Server", "gunicorn") == "gunicorn"
        self.errors.append(answer.text)


JSON = "application/json"


@pytest.fixture
def walk(stack: Stack, shop: Shop, product: Callable[[int], str]) -> Walk:
    customer = Client(shop).register(phone=PHONE, name="Ada")
    product_id = product(5)
    walk = Walk(shop, customer, product_id)
    walk.go()
    customer.post("/orders", {"product_id": product_id, "quantity": 1})
    notifications_of(customer, 2)
    lose_product_service(stack, customer, product_id)
    customer.close()
    return walk


def lose_product_service(stack: Stack, customer: Client, product_id: str) -> None:
    stack.suspend("product-service")
    try:
        assert customer.post("/orders", {"product_id": product_id, "quantity": 1}).status_code == 503
    finally:
        stack.resume("product-service")
        stack.wait_until_ready()


def test_neither_logs_nor_errors_tell_secrets(stack: Stack, walk: Walk) -> None:
    kept = list(json.loads((stack.state / "secrets.json").read_text()).values())
    secrets = [secret for secret in walk.secrets + kept if secret]
    assert len(secrets) > 20
    logs = {file.stem: file.read_text(errors="replace") for file in (stack.state / "logs").glob("*.log")}
    assert {"user-service", "order-service", "notification-consumer", "order-worker"} <= set(logs)
    for name, text in [*logs.items(), *(("an error document", error) for error in walk.errors)]:
        assert [secret for secret in secrets if secret in text] == [], name
        if not name.startswith(SERVERS):
            found = {what: pattern.search(text) for what, pattern in PERSONAL_OR_SECRET.items()}
            assert {what: match.group() for what, match in found.items() if match} == {}, name


def test_requests_are_in_the_logs_by_their_id(stack: Stack, shop: Shop) -> None:
    requests.get(f"{shop.user_url}/users/me", headers={"X-Request-ID": "looked-for"}, timeout=30)
    lines = (stack.state / "logs" / "user-service.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if '"looked-for"' in line]
    assert [(line["path"], line["status"]) for line in found] == [("/users/me", 401)]
