"""Customers who order, repeat until they get an answer, pay, cancel, also while they pay, and list."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tools.chaos.client_log import ClientLog
from tools.chaos.patient_client import PatientClient
from tools.chaos.payer import Payer, Wallet
from tools.client import ShopClient

PAID_AT_ONCE = 0.6  # the share of orders; the rest is paid later or never, and then expires
RECENT = 20  # orders; older ones have mostly expired


class Customer(threading.Thread):
    """Uses the shop until `stop` is set, then finishes the current request."""

    def __init__(self, shop: ShopClient, products: list[str], log: ClientLog, seed: str, stop: threading.Event) -> None:
        super().__init__(name=f"customer-{seed}")
        self._products = products
        self._log = log
        self._random = random.Random(seed)
        self._shop = PatientClient(shop, log, self._random)
        self._wallet = Wallet(self._shop, log, self._random)
        other = PatientClient(shop.another(), log, self._random)
        self._payer = Payer(f"payer-{seed}", Wallet(other, log, self._random), stop)
        self._stop_event = stop
        self._placed: list[tuple[str, dict[str, Any], str]] = []  # key, body, order id

    def run(self) -> None:
        """Order most of the time; now and then do something with an order that was placed."""
        rare = [self._repeat, self._cancel_one, self._list, self._pay_late, self._pay_and_cancel, self._pay_twice]
        actions = [self._order] * 8 + rare
        self._payer.start()
        while not self._stop_event.is_set():
            self._random.choice(actions)()
            time.sleep(self._random.uniform(0, 0.1))
        self._payer.join()

    def _order(self) -> None:
        products = set(self._random.choices(self._products, k=self._random.choice([1, 1, 2, 3])))
        body = {"items": [{"product_id": p, "quantity": self._random.randint(1, 3)} for p in sorted(products)]}
        order_id = self._place(uuid.uuid4().hex, body)
        if order_id and self._random.random() < PAID_AT_ONCE:
            self._payer.offer(order_id)

    def _place(self, key: str, body: dict[str, Any]) -> str | None:
        answer = self._shop.send("order", "POST", "/orders", headers={"Idempotency-Key": key}, json=body)
        if answer is None or answer.status_code != 201:
            return None
        order_id: str = answer.json()["id"]
        self._log.placed(order_id, key)
        self._placed.append((key, body, order_id))
        return order_id

    def _repeat(self) -> None:
        if self._placed:
            key, body, _ = self._random.choice(self._placed)
            self._place(key, body)

    def _recent(self) -> str | None:
        """Return the id of one of the latest orders, if there is one."""
        return self._random.choice(self._placed[-RECENT:])[2] if self._placed else None

    def _pay_late(self) -> None:
        if order_id := self._recent():
            self._payer.offer(order_id)

    def _cancel_one(self) -> None:
        if order_id := self._recent():
            self._cancel(order_id)

    def _cancel(self, order_id: str) -> None:
        self._log.cancelling.add(order_id)
        answer = self._shop.send("cancel", "POST", f"/orders/{order_id}/cancel")
        if answer is not None and answer.status_code == 200:
            self._log.cancelled.add(order_id)

    def _pay_and_cancel(self) -> None:
        self._while_it_is_paid(self._cancel)

    def _pay_twice(self) -> None:
        self._while_it_is_paid(self._wallet.pay)

    def _while_it_is_paid(self, action: Callable[[str], None]) -> None:
        """Do something with an order at about the time at which the payer pays it."""
        if order_id := self._recent():
            self._payer.offer(order_id)
            time.sleep(self._random.uniform(0, 0.05))
            action(order_id)

    def _list(self) -> None:
        answer = self._shop.send("list", "GET", "/orders")
        placed = {order_id for _, _, order_id in self._placed}
        if answer is not None and placed and placed.isdisjoint(order["id"] for order in answer.json()["items"]):
            self._log.fail(f"none of a customer's {len(placed)} orders is among the newest of the list")
