"""A client of the shop's HTTP API, for the tools that drive a running stack."""

import uuid
from collections.abc import Mapping
from typing import Any

import requests

TIMEOUT = 10.0


class Shop:
    """The four services of one stack, as somebody sees them who is signed in or not."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self._session = requests.Session()
        self._session.trust_env = False
        self._credentials: dict[str, str] = {}

    def call(self, service: str, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send one request and return the answer, whatever its status. Raises requests.RequestException."""
        return self._session.request(method, self.urls[service] + path, timeout=TIMEOUT, **arguments)

    def register(self, phone: str | None = None) -> None:
        """Make an account of its own and sign in. Raises requests.RequestException."""
        email = f"customer-{uuid.uuid4().hex[:12]}@example.com"
        account = {"email": email, "password": uuid.uuid4().hex, **({"phone": phone} if phone else {})}
        self.call("user-service", "POST", "/register", json=account).raise_for_status()
        self.sign_in(email, account["password"])

    def sign_in(self, email: str, password: str) -> None:
        """Sign in, or again with the same credentials. Raises requests.RequestException."""
        self._credentials = {"email": email, "password": password}
        self.sign_in_again()

    def sign_in_again(self) -> None:
        """Get a new access token. Raises requests.RequestException."""
        answer = self.call("user-service", "POST", "/login", json=self._credentials)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
