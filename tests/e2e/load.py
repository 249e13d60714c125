"""Customers who order, list and read all the time, for tests that stop, kill or move parts of the shop meanwhile."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from tests.at_once import meanwhile
from tests.e2e.clients import Client
from tools.audit import command as audit
from tools.audit import snapshot
from tools.stack.stack import Stack

CUSTOMERS = 6
NOT_PLACED = ("order-not-placed", "product-service-unavailable")


class Load:
    """Some customers who order, list and read all the time, and count what they are answered.

    Each buys another product: to lose a turn at one that everybody wants is no matter of stopping.
    """

    def __init__(self, customer: Client, product_ids: list[str]) -> None:
        self.answers: Counter[str] = Counter()
        self.broken: list[str] = []
        self.orders: set[str] = set()
        self._customer = customer
        self._product_ids = SimpleQueue[str]()
        for product_id in product_ids:
            self._product_ids.put(product_id)
        self.without_products = False
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Keep up the load, until the end of the block."""
        with meanwhile(self._work, threads=CUSTOMERS, stop=self._stop):
            yield self

    def _work(self) -> None:
        product_id = self._product_ids.get_nowait()
        with requests.Session() as session:
            session.headers.update(self._customer._session.headers)
            urls = self._customer._urls
            body = {"product_id": product_id, "quantity": 1}
            while not self._stop.is_set():
                key = {"Idempotency-Key": uuid.uuid4().hex}
                placed = self._send(session, "POST", f"{urls['orders']}/orders", json=body, headers=key)
                if placed is not None and placed.status_code == 201:
                    self.orders.add(placed.json()["id"])
                self._send(session, "GET", f"{urls['orders']}/orders?limit=5")
                self._send(session, "GET", f"{urls['products']}/products/{product_id}")
                self._send(session, "GET", f"{urls['notifications']}/notifications?limit=5")
                self._send(session, "GET", f"{self._customer._user_url}/users/me")

    def _send(self, session: requests.Session, method: str, url: str, **arguments: Any) -> requests.Response | None:
        without_products = self.without_products
        try:
            answer = session.request(method, url, timeout=30, **arguments)
        except requests.ConnectionError as exc:
            if _was_refused(exc):
                self.answers["refused"] += 1  # it was never accepted
            else:
                self.broken.append(f"{method} {url}: {exc!r}")
            return None
        self.answers[str(answer.status_code)] += 1
        without_products |= self.without_products
        if answer.status_code >= 500 and not (without_products and answer.json()["type"] in NOT_PLACED):
            self.broken.append(f"{method} {url}: {answer.status_code} {answer.text[:200]}")
        return answer


def _was_refused(exc: requests.ConnectionError) -> bool:
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    return isinstance(reason, NewConnectionError)


def at_rest(stack: Stack) -> bool:
    """Return whether every promise holds, also for what changed just now."""
    return not any(check.violations for check in audit.check_once(snapshot.reader(stack), grace=0))
