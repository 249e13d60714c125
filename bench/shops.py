"""Starting shops, each with servers of its own, and filling them with customers and products."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pymongo

from tools.client import ShopClient
from tools.paths import ROOT
from tools.stack import processes, programs, spec
from tools.stack.mongodb import FAST_STAND_IN, MONGOD, STAND_IN, find
from tools.stack.readiness import StackError
from tools.stack.stack import Stack

CUSTOMERS, PRODUCTS, PLENTY = 64, 200, 10**9
PASSWORD = "a customer's password"  # noqa: S105 (of customers who live as long as the bench)
WORDS = ("amber", "birch", "cobalt", "denim", "ember", "fern", "garnet", "hazel", "indigo", "jade")
CATEGORIES = ("kitchen", "office", "garden", "travel", "books")
WORKERS, THREADS = os.environ.get("WEB_CONCURRENCY", "2"), os.environ.get("WEB_THREADS", "8")
LIMITS = {"ACCESS_TOKEN_SECONDS": "86400", "SERVICE_TOKEN_SECONDS": "86400", "REGISTRATIONS_PER_MINUTE": "100000"}
DATABASES = {"products": "product_service", "orders": "order_service", "notifications": "notification_service"}
SERVERS = {"MONGO_URL": "mongo_url", "RABBITMQ_URL": "rabbitmq_url", "RABBITMQ_MANAGEMENT_URL": "management_url"}


@dataclass(frozen=True)
class Target:
    """A shop under load: its URLs by service, programs, databases by what they store, and wrk's Lua data."""

    name: str
    stack: Stack
    urls: Mapping[str, str]
    programs: tuple[str, ...]
    databases: Mapping[str, str]
    is_shop: bool = False

    @property
    def lua_data(self) -> Path:
        """Return the file with the tokens and products of the shop whose servers this target uses."""
        return self.stack.state / "data.lua"

    @cached_property
    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        """Return the administrator's connection to the database server."""
        return pymongo.MongoClient(self.stack.administrators()["MONGO_URL"], tz_aware=True)

    def collection(self, name: str) -> Any:
        """Return `products`, `orders` or `notifications`."""
        return self.client[self.databases[name]][name]

    def pids(self) -> list[int]:
        """Return the pids of all the target's processes."""
        return [process.pid for name in self.programs for process in processes.find(self.stack.state, name)]


def fastest() -> str:
    """Return the name of the fastest MongoDB server program that is here; each has results of its own."""
    return next(name for name in (MONGOD, FAST_STAND_IN, STAND_IN) if find(name))


@contextmanager
def running(name: str, checkout: Path, state: Path, mongodb: str, settings: Mapping[str, str]) -> Iterator[Target]:
    """Run the shop of a checkout, filled; all of it is gone afterwards. Raises StackError."""
    options = {
        "workers": int(WORKERS),
        "settings": {"WEB_THREADS": THREADS, **settings},
        "extra": {"user-service": LIMITS},
        "mongodb": mongodb,
        **{option: os.environ.get(variable, "") for variable, option in SERVERS.items()},
    }
    numbers = spec.free_ports()
    python: Path | str = checkout / ".venv" / "bin" / "python"
    if checkout != ROOT:
        subprocess.run([checkout / "dev", "--help"], stdout=subprocess.DEVNULL, check=True)  # makes its .venv
    command = [python, "-P", ROOT / "bench" / "host.py", state, json.dumps(numbers), json.dumps(options)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=checkout, stdin=pipe, stdout=pipe, text=True) as host:
        try:
            if (said := next(iter(host.stdout or ()), "")) != "ready\n":
                raise StackError(said + "".join(host.stdout or ()))
            stack = Stack(state, numbers)
            _fill(stack)
            yield Target(name, stack, stack.urls, tuple(stack.services()), DATABASES, is_shop=True)
        finally:
            host.communicate()  # which ends its standard input, and so the shop


def _fill(stack: Stack) -> None:
    """Register customers and add products through the API, and write down for the workloads who and what they are."""
    administrator = ShopClient(stack.urls)
    administrator.sign_in(programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD)
    emails = [f"bench-{uuid.uuid4().hex}@example.com" for _ in range(CUSTOMERS)]
    lists = {"emails": emails, "words": WORDS, "categories": CATEGORIES}
    lists["tokens"] = [_customer(stack.urls, email) for email in emails]
    lists["products"] = [_product(administrator, number) for number in range(PRODUCTS)]
    entries = [f"{name} = {{{json.dumps(values)[1:-1]}}}" for name, values in lists.items()]
    (stack.state / "data.lua").write_text(f"return {{{', '.join(entries)}, password = {json.dumps(PASSWORD)}}}\n")


def _customer(urls: Mapping[str, str], email: str) -> str:
    account = {"email": email, "password": PASSWORD}
    ShopClient(urls).call("user-service", "POST", "/register", json=account).raise_for_status()
    answer = ShopClient(urls).call("user-service", "POST", "/login", json=account)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _product(administrator: ShopClient, number: int) -> str:
    product = {
        "name": f"{WORDS[number % len(WORDS)]} {WORDS[number * 7 // 10 % len(WORDS)]} {number}",
        "price": f"{5 + number % 90}.90",
        "stock": PLENTY,
        "category": CATEGORIES[number % len(CATEGORIES)],
    }
    answer = administrator.call("product-service", "POST", "/products", json=product)
    answer.raise_for_status()
    return str(answer.json()["id"])
