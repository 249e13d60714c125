"""A client of the shop's HTTP API, for the tools that drive a running stack."""

import uuid
from collections.abc import Mapping
from typing import Any

import requests

TIMEOUT = 10.0


class ShopClient:
    """The services of one stack, as a visitor or a signed-in user reaches them. Raises requests.RequestException."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._session = requests.Session()
        self._session.trust_env = False
        self._credentials: dict[str, str] = {}

    def call(self, service: str, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send one request and return the response, whatever its status."""
        return self._session.request(method, self._urls[service] + path, timeout=TIMEOUT, **arguments)

    def register(self, phone: str | None = None) -> None:
        """Create an account and sign in."""
        email = f"customer-{uuid.uuid4().hex[:12]}@example.com"
        account = {"email": email, "password": uuid.uuid4().hex, **({"phone": phone} if phone else {})}
        self.call("user-service", "POST", "/register", json=account).raise_for_status()
        self.sign_in(email, account["password"])

    def sign_in(self, email: str, password: str) -> None:
        """Sign in, and remember the credentials."""
        self._credentials = {"email": email, "password": password}
        self.sign_in_again()

    def another(self) -> "ShopClient":
        """Return a second client of the same user, for another thread."""
        client = ShopClient(self._urls)
        client._credentials = self._credentials
        client._session.headers.update(self._session.headers)
        return client

    def sign_in_again(self) -> None:
        """Get a new access token with the same credentials."""
        response = self.call("user-service", "POST", "/login", json=self._credentials)
        response.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
