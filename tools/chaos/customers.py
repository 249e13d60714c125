"""Customers who order, repeat until they know, cancel and list, and remember what they were told."""

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

from tools.client import Shop

PATIENCE = 120.0


@dataclass
class Ledger:
    """What all customers were told. `orders` are those answered 201, by id; `answers` counts every answer."""

    orders: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def placed(self, order_id: str, key: str) -> None:
        """Note an order that was answered 201; a key must always lead to the same one."""
        with self.lock:
            self.orders.setdefault(order_id, key)
            same_key = [known for known, its_key in self.orders.items() if its_key == key]
        if same_key != [order_id]:
            self.complain(f"key {key} led to orders {same_key + [order_id]}")

    def answered(self, kind: str, seconds: float) -> None:
        """Count an answer, or that there was none."""
        with self.lock:
            self.answers[kind] += 1
            if kind == "order 201":
                self.seconds.append(seconds)

    def complain(self, what: str) -> None:
        """Note something that must never happen."""
        with self.lock:
            self.complaints.append(what)


class Customer(threading.Thread):
    """Uses the shop until told to stop, then finishes what was begun."""

    def __init__(self, shop: Shop, products: list[str], ledger: Ledger, seed: str, stop: threading.Event) -> None:
        super().__init__(name=f"customer-{seed}")
        self._shop = shop
        self._products = products
        self._ledger = ledger
        self._random = random.Random(seed)
        self._stop_event = stop
        self._own: list[tuple[str, dict[str, Any], str]] = []

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
        answer = self._insist("order", "POST", "/orders", {"Idempotency-Key": key}, json=body)
        if answer is not None and answer.status_code == 201:
            order_id = answer.json()["id"]
            self._ledger.placed(order_id, key)
            self._own.append((key, body, order_id))

    def _repeat(self) -> None:
        if self._own:
            key, body, _ = self._random.choice(self._own)
            self._place(key, body)

    def _cancel(self) -> None:
        if self._own:
            order_id = self._random.choice(self._own)[2]
            self._ledger.cancelled.add(order_id)
            self._insist("cancel", "POST", f"/orders/{order_id}/cancel", {})

    def _list(self) -> None:
        answer = self._insist("list", "GET", "/orders", {})
        known = {order_id for _, _, order_id in self._own}
        newest = [order["id"] for order in answer.json()["items"]] if answer is not None else []
        if answer is not None and known and not known & set(newest):
            self._ledger.complain(f"none of a customer's {len(known)} orders is among the newest of the list")

    def _insist(self, what: str, method: str, path: str, headers: dict[str, str], **arguments: Any) -> Any:
        """Repeat a request until it is answered for good; return the answer, None if patience ran out."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            send = partial(self._shop.call, "order-service", method, path, headers=headers, **arguments)
            answer = self._try(what, send)
            if answer is None or answer.status_code in (429, 503):
                time.sleep(self._random.uniform(0.1, 0.5))
            elif answer.status_code == 401:
                self._try("sign-in", self._shop.sign_in_again)
            else:
                if answer.status_code not in (200, 201, 409):
                    self._ledger.complain(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                return answer
        self._ledger.complain(f"{method} {path}: no answer within {PATIENCE:g} s")
        return None

    def _try(self, what: str, send: Callable[[], Any]) -> Any:
        started = time.monotonic()
        try:
            answer = send()
        except requests.RequestException:
            self._ledger.answered(f"{what} cut off", time.monotonic() - started)
            time.sleep(0.1)
            return None
        status = getattr(answer, "status_code", 200)
        self._ledger.answered(f"{what} {status}", time.monotonic() - started)
        return answer
