"""Customers and an administrator who use everything that the shop offers, a few times a second."""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests

from tools.client import TIMEOUT, ShopClient
from tools.stack import programs
from tools.stack.stack import Stack

SHOPPERS = 10
PAUSE = 1.0  # s between two things that a shopper does, at most
METHODS = (*["pm_card_ok"] * 32, *["pm_card_declined"] * 3, "pm_card_lost", "pm_card_slow")
STOCK = {"Moka Pot": 100_000, "Milk Frother": 100_000, "Coffee Grinder": 100_000, "Rare Roast": 5}
OFTEN = 5  # times as often as the last product, of which there is too little, each of the others is ordered
RECENT = 10  # orders that a shopper still cares about


class Visitor(threading.Thread):
    """Does one thing after the other until `stop` is set. A failure is no reason to stop: there are outages."""

    def __init__(self, shop: ShopClient, seed: str, stop: threading.Event) -> None:
        super().__init__(name=seed, daemon=True)
        self._shop = shop
        self._random = random.Random(seed)
        self._stop_event = stop

    def run(self) -> None:
        """Use the shop."""
        while not self._stop_event.wait(self._random.uniform(0, PAUSE)):
            with suppress(requests.RequestException, KeyError):  # KeyError: an error document has no such field
                self._random.choice(self.actions())()

    def actions(self) -> list[Callable[[], Any]]:
        """Return what the visitor may do; what is there several times is done more often."""
        raise NotImplementedError

    def _ask(self, service: str, method: str, path: str, **arguments: Any) -> requests.Response:
        answer = self._shop.call(service, method, path, **arguments)
        if answer.status_code == requests.codes.unauthorized:
            self._shop.sign_in_again()
        return answer


class Shopper(Visitor):
    """A customer."""

    def __init__(self, shop: ShopClient, seed: str, stop: threading.Event, products: list[str]) -> None:
        super().__init__(shop, seed, stop)
        self._products = products
        self._placed: list[tuple[dict[str, str], dict[str, Any], str]] = []

    def actions(self) -> list[Callable[[], Any]]:
        """Return what a customer does: mostly order and pay."""
        rare = [self._look_around, self._read, self._cancel, self._repeat, self._sign_in, self._mistake]
        return [self._order] * 10 + [self._pay] * 7 + rare

    def _order(self) -> None:
        chosen = {self._random.choice(self._products) for _ in range(self._random.choice([1, 1, 2]))}
        body = {"items": [{"product_id": product, "quantity": self._random.randint(1, 2)} for product in chosen]}
        self._place({"Idempotency-Key": uuid.uuid4().hex}, body)

    def _repeat(self) -> None:
        if self._placed:
            self._place(*self._random.choice(self._placed)[:2])

    def _place(self, headers: dict[str, str], body: dict[str, Any]) -> None:
        answer = self._ask("order-service", "POST", "/orders", headers=headers, json=body)
        self._placed = [*self._placed, (headers, body, answer.json()["id"])][-RECENT:]

    def _pay(self) -> None:
        self._of_recent("POST", "/pay", json={"payment_method": self._random.choice(METHODS)})

    def _cancel(self) -> None:
        self._of_recent("POST", "/cancel")

    def _read(self) -> None:
        self._of_recent("GET", "")
        self._ask("order-service", "GET", "/orders")
        self._ask("notification-service", "GET", "/notifications")

    def _of_recent(self, method: str, action: str, **arguments: Any) -> None:
        if self._placed:
            order_id = self._random.choice(self._placed)[2]
            self._ask("order-service", method, f"/orders/{order_id}{action}", **arguments)

    def _look_around(self) -> None:
        self._ask("product-service", "GET", "/products?q=m&sort=price")
        self._ask("product-service", "GET", f"/products/{self._random.choice(self._products)}")

    def _sign_in(self) -> None:
        self._shop.sign_in_again()

    def _mistake(self) -> None:
        wrong = {"email": f"{uuid.uuid4().hex}@example.com", "password": "not the password"}
        self._shop.call("user-service", "POST", "/login", json=wrong)
        self._ask("order-service", "POST", "/orders", json={"product_id": "nothing", "quantity": 1})


class Administrator(Visitor):
    """Ships what is paid, delivers what is shipped, and adds stock."""

    def __init__(self, shop: ShopClient, stop: threading.Event, products: list[str]) -> None:
        super().__init__(shop, "administrator", stop)
        self._products = products

    def actions(self) -> list[Callable[[], Any]]:
        """Return what an administrator does."""
        return [self._ship, self._deliver, self._add_stock]

    def _ship(self) -> None:
        self._move("paid", "ship")

    def _deliver(self) -> None:
        self._move("shipped", "deliver")

    def _move(self, status: str, action: str) -> None:
        found = self._ask("order-service", "GET", f"/orders?status={status}&limit=5").json()["items"]
        for order in found:
            self._ask("order-service", "POST", f"/orders/{order['id']}/{action}")

    def _add_stock(self) -> None:
        self._ask("product-service", "POST", f"/products/{self._products[-1]}/stock", json={"change": 1})


@contextmanager
def traffic(stack: Stack, shoppers: int = SHOPPERS) -> Iterator[None]:
    """Let visitors use a running stack during the block."""
    stop = threading.Event()
    admin = ShopClient(stack.urls)
    admin.sign_in(programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD)
    products = [_create(admin, name, units) for name, units in STOCK.items()]
    visitors: list[Visitor] = [Administrator(admin, stop, products)]
    for number in range(shoppers):
        shop = ShopClient(stack.urls)
        shop.register(phone="+4930123456" if number % 2 else None)
        visitors.append(Shopper(shop, f"shopper-{number}", stop, [*products[:-1] * OFTEN, products[-1]]))
    for visitor in visitors:
        visitor.start()
    try:
        yield
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join(TIMEOUT)  # of its last request


def _create(admin: ShopClient, name: str, units: int) -> str:
    body = {"name": name, "price": "9.99", "stock": units}
    product_id: str = admin.call("product-service", "POST", "/products", json=body).json()["id"]
    return product_id
