"""Customers who order, repeat until they get an answer, pay, cancel, also while they pay, and list."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tools.chaos.client_log import DECLINED_METHOD, ClientLog
from tools.chaos.patient_client import PatientClient
from tools.client import ShopClient

METHODS = (*["pm_card_ok"] * 14, *[DECLINED_METHOD] * 3, *["pm_card_lost"] * 2, "pm_card_slow")
PAID_AT_ONCE = 0.5  # the share of orders; the rest is paid later or never, and then expires
TRIED_AGAIN = 0.6  # the share of declined payments
RECENT = 20  # orders; older ones have mostly expired


class Customer(threading.Thread):
    """Uses the shop until `stop` is set, then finishes the current request."""

    def __init__(self, shop: ShopClient, products: list[str], log: ClientLog, seed: str, stop: threading.Event) -> None:
        super().__init__(name=f"customer-{seed}")
        self._products = products
        self._log = log
        self._random = random.Random(seed)
        self._shop = PatientClient(shop, log, self._random)
        self._other_shop = PatientClient(shop.another(), log, self._random)  # for the second thread
        self._stop_event = stop
        self._placed: list[tuple[str, dict[str, Any], str]] = []  # key, body, order id

    def run(self) -> None:
        """Order most of the time; now and then do something with an order that was placed."""
        rare = [self._repeat, self._cancel_one, self._list, self._pay_one, self._pay_and_cancel, self._pay_twice]
        actions = [self._order] * 8 + rare
        while not self._stop_event.is_set():
            self._random.choice(actions)()
            time.sleep(self._random.uniform(0, 0.1))

    def _order(self) -> None:
        products = set(self._random.choices(self._products, k=self._random.choice([1, 1, 2, 3])))
        body = {"items": [{"product_id": p, "quantity": self._random.randint(1, 3)} for p in sorted(products)]}
        order_id = self._place(uuid.uuid4().hex, body)
        if order_id and self._random.random() < PAID_AT_ONCE:
            self._pay(order_id, self._shop)

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

    def _pay_one(self) -> None:
        if order_id := self._recent():
            self._pay(order_id, self._shop)

    def _pay(self, order_id: str, shop: PatientClient) -> None:
        """Pay an order. After a decline try again, perhaps with another method, or give up."""
        declined = True
        while declined:
            method = self._random.choice(METHODS)
            self._log.tries_to_pay(order_id, method)
            body = {"payment_method": method}
            answer = shop.send("pay", "POST", f"/orders/{order_id}/pay", json=body, final=(200, 402, 409))
            if answer is not None and answer.status_code == 200:
                self._log.paid.add(order_id)
            is_declined = answer is not None and answer.status_code == 402
            declined = is_declined and self._random.random() < TRIED_AGAIN

    def _cancel_one(self) -> None:
        if order_id := self._recent():
            self._cancel(order_id)

    def _cancel(self, order_id: str) -> None:
        self._log.cancelling.add(order_id)
        answer = self._shop.send("cancel", "POST", f"/orders/{order_id}/cancel")
        if answer is not None and answer.status_code == 200:
            self._log.cancelled.add(order_id)

    def _pay_and_cancel(self) -> None:
        self._while_paying(self._cancel)

    def _pay_twice(self) -> None:
        self._while_paying(lambda order_id: self._pay(order_id, self._shop))

    def _while_paying(self, action: Callable[[str], None]) -> None:
        """Pay an order in a second thread, and do something with the same order meanwhile."""
        if order_id := self._recent():
            payer = threading.Thread(target=self._pay, args=(order_id, self._other_shop), name=f"{self.name}-payer")
            payer.start()
            time.sleep(self._random.uniform(0, 0.05))
            action(order_id)
            payer.join()

    def _list(self) -> None:
        answer = self._shop.send("list", "GET", "/orders")
        placed = {order_id for _, _, order_id in self._placed}
        if answer is not None and placed and placed.isdisjoint(order["id"] for order in answer.json()["items"]):
            self._log.fail(f"none of a customer's {len(placed)} orders is among the newest of the list")
