"""People who use the shop over HTTP: a visitor, customers, an administrator."""

import uuid
from typing import Any

import requests

from tests.e2e.shop import Shop
from tests.waiting import until


class Client:
    """Somebody who may be signed in. Paths lead to the service that has them."""

    def __init__(self, shop: Shop) -> None:
        self._urls = {
            "orders": shop.order_url,
            "products": shop.product_url,
            "reservations": shop.product_url,
            "notifications": shop.notification_url,
        }
        self._user_url = shop.user_url
        self._session = requests.Session()
        self.id = self.email = ""
        self.password = "correct horse battery"
        self.tokens: dict[str, Any] = {}

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request and return the answer, whatever its status."""
        base = self._urls.get(path.split("/")[1].split("?")[0], self._user_url)
        return self._session.request(method, base + path, timeout=30, **arguments)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """GET."""
        return self.request("GET", path, **arguments)

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        """POST a JSON body; header names are written with underscores."""
        return self.request("POST", path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def register(self, **profile: str) -> "Client":
        """Make an account with an address of its own, and sign in."""
        self.email = f"{uuid.uuid4().hex[:12]}@example.com"
        account = self.post("/register", {"email": self.email, "password": self.password, **profile})
        assert account.status_code == 201, account.text
        return self.login(self.email, self.password)

    def login(self, email: str, password: str) -> "Client":
        """Sign in."""
        self.email, self.password = email, password
        answer = self.post("/login", {"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        self._session.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        self.id = self.get("/users/me").json()["id"]
        return self

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def stock_of(client: Client, product_id: str) -> int:
    """Return what can be bought of a product now."""
    return int(client.get(f"/products/{product_id}").json()["stock"])


def orders_of(client: Client) -> list[dict[str, Any]]:
    """Return the latest orders of somebody, newest first."""
    items: list[dict[str, Any]] = client.get("/orders").json()["items"]
    return items


def notifications_of(client: Client, count: int) -> list[dict[str, str]]:
    """Wait until somebody has so many notifications, and return them."""
    return until(
        lambda: items if len(items := client.get("/notifications").json()["items"]) >= count else None,
        f"{count} notifications",
    )
