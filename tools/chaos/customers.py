"""Customers who order, repeat until they get an answer, cancel and list; their log has every answer."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests

from tools.client import ShopClient

ANSWER_DEADLINE = 120.0  # seconds; longer than any fault and the recovery from it


@dataclass
class ClientLog:
    """The answers that all customers got. `orders` has the key of each order answered 201, by its id."""

    orders: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def placed(self, order_id: str, key: str) -> None:
        """Record an order that was answered 201. A key must always lead to the same order."""
        with self.lock:
            self.orders.setdefault(order_id, key)
            same_key = [other for other, its_key in self.orders.items() if its_key == key]
        if same_key != [order_id]:
            self.fail(f"key {key} led to orders {same_key + [order_id]}")

    def answered(self, kind: str, seconds: float) -> None:
        """Count an answer, or a missing answer."""
        with self.lock:
            self.answers[kind] += 1
            if kind == "order 201":
                self.seconds.append(seconds)

    def fail(self, what: str) -> None:
        """Record something that must never happen."""
        with self.lock:
            self.failures.append(what)


class Customer(threading.Thread):
    """Uses the shop until `stop` is set, then finishes the current request."""

    def __init__(self, shop: ShopClient, products: list[str], log: ClientLog, seed: str, stop: threading.Event) -> None:
        super().__init__(name=f"customer-{seed}")
        self._shop = shop
        self._products = products
        self._log = log
        self._random = random.Random(seed)
        self._stop_event = stop
        self._placed: list[tuple[str, dict[str, Any], str]] = []  # key, body, order id

    def run(self) -> None:
        """Order most of the time; now and then repeat an old request, cancel, or list."""
        actions = [self._order] * 8 + [self._repeat, self._cancel, self._list]
        while not self._stop_event.is_set():
            self._random.choice(actions)()
            time.sleep(self._random.uniform(0, 0.1))

    def _order(self) -> None:
        products = set(self._random.choices(self._products, k=self._random.choice([1, 1, 2, 3])))
        body = {"items": [{"product_id": p, "quantity": self._random.randint(1, 3)} for p in sorted(products)]}
        self._place(uuid.uuid4().hex, body)

    def _place(self, key: str, body: dict[str, Any]) -> None:
        answer = self._repeat_until_answered("order", "POST", "/orders", {"Idempotency-Key": key}, json=body)
        if answer is not None and answer.status_code == 201:
            order_id = answer.json()["id"]
            self._log.placed(order_id, key)
            self._placed.append((key, body, order_id))

    def _repeat(self) -> None:
        if self._placed:
            key, body, _ = self._random.choice(self._placed)
            self._place(key, body)

    def _cancel(self) -> None:
        if self._placed:
            order_id = self._random.choice(self._placed)[2]
            self._log.cancelled.add(order_id)
            self._repeat_until_answered("cancel", "POST", f"/orders/{order_id}/cancel", {})

    def _list(self) -> None:
        answer = self._repeat_until_answered("list", "GET", "/orders", {})
        placed = {order_id for _, _, order_id in self._placed}
        if answer is not None and placed and placed.isdisjoint(order["id"] for order in answer.json()["items"]):
            self._log.fail(f"none of a customer's {len(placed)} orders is among the newest of the list")

    def _repeat_until_answered(
        self, what: str, method: str, path: str, headers: dict[str, str], **arguments: Any
    ) -> requests.Response | None:
        """Repeat a request until its answer is final; return the answer, or None at the deadline."""
        send = partial(self._shop.call, "order-service", method, path, headers=headers, **arguments)
        deadline = time.monotonic() + ANSWER_DEADLINE
        while time.monotonic() < deadline:
            answer = self._try(what, send)
            if answer is None or answer.status_code in (429, 503):
                time.sleep(self._random.uniform(0.1, 0.5))
            elif answer.status_code == 401:
                self._try("sign-in", self._shop.sign_in_again)
            else:
                if answer.status_code not in (200, 201, 409):
                    self._log.fail(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                return answer
        self._log.fail(f"{method} {path}: no answer within {ANSWER_DEADLINE:g} s")
        return None

    def _try(self, what: str, send: Callable[[], requests.Response | None]) -> requests.Response | None:
        started = time.monotonic()
        try:
            answer = send()
        except requests.RequestException:
            self._log.answered(f"{what} cut off", time.monotonic() - started)
            time.sleep(0.1)
            return None
        status = 200 if answer is None else answer.status_code
        self._log.answered(f"{what} {status}", time.monotonic() - started)
        return answer
