"""Customers and products to drive the shop with, made through its API."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.client import Shop

PASSWORD = "a customer's password"  # noqa: S105 (of customers who live as long as the bench)
WORDS = ("amber", "birch", "cobalt", "denim", "ember", "fern", "garnet", "hazel", "indigo", "jade")
CATEGORIES = ("kitchen", "office", "garden", "travel", "books")
PLENTY = 10**9


@dataclass(frozen=True)
class Seed:
    """Who orders and what: access tokens and e-mail addresses of customers, ids of products."""

    tokens: list[str]
    emails: list[str]
    products: list[str]

    def write(self, path: Path) -> None:
        """Write a Lua file that the workloads read."""
        lists = {**vars(self), "words": WORDS, "categories": CATEGORIES}
        entries = [f"{name} = {{{', '.join(map(_quoted, values))}}}" for name, values in lists.items()]
        path.write_text("return {" + ", ".join([*entries, f"password = {_quoted(PASSWORD)}"]) + "}\n")


def seed(urls: Mapping[str, str], admin: tuple[str, str], *, customers: int, products: int) -> Seed:
    """Register customers and add products. Raises requests.RequestException."""
    administrator = Shop(urls)
    administrator.sign_in(*admin)
    signed_in = [_customer(urls) for _ in range(customers)]
    return Seed(
        tokens=[token for token, _ in signed_in],
        emails=[email for _, email in signed_in],
        products=[_product(administrator, number) for number in range(products)],
    )


def _customer(urls: Mapping[str, str]) -> tuple[str, str]:
    shop, email = Shop(urls), f"bench-{uuid.uuid4().hex}@example.com"
    account = {"email": email, "password": PASSWORD}
    shop.call("user-service", "POST", "/register", json=account).raise_for_status()
    answer = shop.call("user-service", "POST", "/login", json=account)
    answer.raise_for_status()
    return answer.json()["access_token"], email


def _product(administrator: Shop, number: int) -> str:
    word, other = WORDS[number % len(WORDS)], WORDS[number * 7 // 10 % len(WORDS)]
    product = {
        "name": f"{word} {other} {number}",
        "price": f"{5 + number % 90}.90",
        "stock": PLENTY,
        "category": CATEGORIES[number % len(CATEGORIES)],
    }
    answer = administrator.call("product-service", "POST", "/products", json=product)
    answer.raise_for_status()
    return str(answer.json()["id"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
