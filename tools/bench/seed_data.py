"""The customers and products of a run."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.client import ShopClient
from tools.stack import programs

CUSTOMERS, PRODUCTS = 64, 200
STOCK = 10**9  # of each product: no run sells out
WORDS = ("amber", "birch", "cobalt", "denim", "ember", "fern", "garnet", "hazel", "indigo", "jade")
CATEGORIES = ("kitchen", "office", "garden", "travel", "books")
PASSWORD = "a customer's password"  # noqa: S105 (of customers who live as long as the bench)
FILE = "seed_data.lua"


def seed(urls: Mapping[str, str], folder: Path) -> None:
    """Register customers and add products through the API, and write them to a Lua file for the workloads."""
    shop, administrator = ShopClient(urls), ShopClient(urls)
    administrator.sign_in(programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD)
    accounts = [{"email": f"bench-{uuid.uuid4().hex}@example.com", "password": PASSWORD} for _ in range(CUSTOMERS)]
    for account in accounts:
        _post(shop, "user-service", "/register", account)
    lists = {
        "emails": [account["email"] for account in accounts],
        "tokens": [_post(shop, "user-service", "/login", account)["access_token"] for account in accounts],
        "products": [_post(administrator, "product-service", "/products", _product(n))["id"] for n in range(PRODUCTS)],
        "words": WORDS,
        "categories": CATEGORIES,
    }
    tables = [f"{name} = {{{json.dumps(values)[1:-1]}}}" for name, values in lists.items()]
    (folder / FILE).write_text(f"return {{{', '.join(tables)}, password = {json.dumps(PASSWORD)}}}\n")


def _product(number: int) -> dict[str, Any]:
    name = f"{WORDS[number % len(WORDS)]} {WORDS[number * 7 // 10 % len(WORDS)]} {number}"
    category = CATEGORIES[number % len(CATEGORIES)]
    return {"name": name, "price": f"{5 + number % 90}.90", "stock": STOCK, "category": category}


def _post(shop: ShopClient, service: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    response = shop.call(service, "POST", path, json=body)
    response.raise_for_status()
    return dict(response.json())
