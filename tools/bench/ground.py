"""Where the bench runs: a stack of its own with customers and products, and the rivals beside it."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pymongo
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools import blueprint, programs
from tools.bench import rivals
from tools.bench.rivals import Ground
from tools.bench.seeding import Seed, seed
from tools.bench.workloads import BASELINE, FLOOR, HOPS, KEPT, SHOP
from tools.blueprint import Options
from tools.mongodb import FAST_STAND_IN, MONGOD, STAND_IN, find
from tools.stack import Stack

CUSTOMERS, PRODUCTS = 64, 200
PATIENCE = 300.0
NOT_PLACED = ["pending", "rejected", "failed"]


@dataclass(frozen=True)
class Target:
    """Something to drive: its URLs by service, its programs, and where it stores orders and notifications."""

    name: str
    urls: Mapping[str, str]
    programs: tuple[str, ...] = ()
    collections: tuple[str, str] | None = None


@dataclass
class Arena:
    """A running stack, what is in it, and the targets by name. Without a `stack`, the shop is somewhere else."""

    data: Path
    seed: Seed
    targets: dict[str, Target]
    stack: Stack | None = None
    database: str = "unknown"
    client: pymongo.MongoClient[dict[str, Any]] | None = field(default=None)

    def collection(self, name: str) -> Any:
        """Return a collection by `database.collection`, with the administrator's rights."""
        assert self.client is not None  # noqa: S101
        database, _, collection = name.partition(".")
        return self.client[database][collection]

    def pids(self, names: tuple[str, ...]) -> list[int]:
        """Return the pids of programs."""
        return [pid for name in names for pid in self.stack.pids(name)] if self.stack else []


def fastest() -> str:
    """Return the name of the fastest MongoDB server program that is here; each has results of its own."""
    return next(name for name in (MONGOD, FAST_STAND_IN, STAND_IN) if find(name))


@contextmanager
def own(mongodb: str, settings: Mapping[str, str] | None = None) -> Iterator[Arena]:
    """Run a stack of the bench's own, with the rivals beside it; all of it is gone afterwards."""
    workers, threads = rivals.settings()
    limits = {"ACCESS_TOKEN_SECONDS": "86400", "SERVICE_TOKEN_SECONDS": "86400", "REGISTRATIONS_PER_MINUTE": "100000"}
    options = Options(
        workers=workers,
        settings={"WEB_THREADS": str(threads), **(settings or {})},
        extra={"user-service": limits},
        mongodb=mongodb,
        mongo_url=os.environ.get("MONGO_URL", ""),
        rabbitmq_url=os.environ.get("RABBITMQ_URL", ""),
        management_url=os.environ.get("RABBITMQ_MANAGEMENT_URL", ""),
    )
    with tempfile.TemporaryDirectory(prefix="shop-bench-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "stack", blueprint.free_ports(), options)
        stack.up(owned=True)
        try:
            yield _furnish(stack, workers, threads)
        finally:
            stack.destroy()


@contextmanager
def elsewhere(url: str, admin: tuple[str, str]) -> Iterator[Arena]:
    """Use a shop that runs already, at this URL and the usual ports; only what a client sees can be measured."""
    urls = {name: f"{url.rstrip('/')}:{blueprint.PORTS[name]}" for name in programs.PACKAGES}
    with tempfile.TemporaryDirectory(prefix="shop-bench-") as folder:
        made = seed(urls, admin, customers=20, products=50)
        data = Path(folder) / "data.lua"
        made.write(data)
        yield Arena(data, made, {SHOP: Target(SHOP, urls)})


def _furnish(stack: Stack, workers: int, threads: int) -> Arena:
    made = seed(stack.urls, (programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD), customers=CUSTOMERS, products=PRODUCTS)
    made.write(stack.state / "data.lua")
    urls = stack.administrators()
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(urls["MONGO_URL"], tz_aware=True)
    arena = Arena(stack.state / "data.lua", made, {}, stack, database_name(stack, client), client)
    key, token = _keys(stack)
    ground = Ground(stack.state, urls["MONGO_URL"], urls["RABBITMQ_URL"], key, token, workers, threads)
    _stock_rivals(arena)
    arena.targets = _targets(stack, ground)
    return arena


def _targets(stack: Stack, ground: Ground) -> dict[str, Target]:
    shop = Target(
        SHOP, stack.urls, tuple(stack.services()), ("order_service.orders", "notification_service.notifications")
    )
    rivals_urls = {
        BASELINE: rivals.start_baseline(ground, BASELINE, keep_connections=False),
        KEPT: rivals.start_baseline(ground, KEPT, keep_connections=True),
        FLOOR: rivals.start_floor(ground, FLOOR),
    }
    found = [shop, *(_rival(name, urls) for name, urls in rivals_urls.items())]
    hops = Target(HOPS, rivals.start_floor(ground, HOPS, app="create_hop"), (f"{HOPS}-orders", f"{HOPS}-products"))
    return {target.name: target for target in [*found, hops]}


def _rival(name: str, urls: Mapping[str, str]) -> Target:
    database = rivals.database_of(name)
    programs = (f"{name}-orders", f"{name}-products", f"{name}-consumer")
    return Target(name, urls, programs, (f"{database}.orders", f"{database}.notifications"))


def _stock_rivals(arena: Arena) -> None:
    """Give the rivals the shop's products: to the floor as the shop has them, to the baseline what that looks at."""
    found = arena.collection("product_service.products")
    wanted = {"_id": {"$in": arena.seed.products}}
    looked_at = dict.fromkeys(("name", "price", "stock"), True)
    for name, fields in ((BASELINE, looked_at), (KEPT, looked_at), (FLOOR, None)):
        stored = arena.collection(f"{rivals.database_of(name)}.products")
        stored.drop()
        stored.insert_many(list(found.find(wanted, fields)))


def _keys(stack: Stack) -> tuple[str, str]:
    """Return user-service's public key as PEM, and a service token."""
    base = stack.urls["user-service"]
    jwk = requests.get(f"{base}/.well-known/jwks.json", timeout=10).json()["keys"][0]
    pem = jwt.PyJWK(jwk, "RS256").key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    environment = stack.environment("order-service")
    credentials = (environment["CLIENT_ID"], environment["CLIENT_SECRET"])
    answer = requests.post(f"{base}/token", data={"grant_type": "client_credentials"}, auth=credentials, timeout=10)
    answer.raise_for_status()
    return pem, str(answer.json()["access_token"])


def database_name(stack: Stack, client: pymongo.MongoClient[dict[str, Any]]) -> str:
    """Name the database program, so that results of different ones are kept apart."""
    version = client.admin.command("buildInfo")["version"]
    program = "MONGO_URL" if os.environ.get("MONGO_URL") else stack.origins()["MongoDB"].server
    return f"{program} {version}"


def settle(arena: Arena, target: Target) -> None:
    """Wait until no more orders come in (some are answered after wrk has gone), and each has its notification."""
    if target.collections is None or arena.client is None:
        return
    stored, count = arena.collection(target.collections[0]), -1
    while count != (count := stored.estimated_document_count()):
        time.sleep(0.2)
    if target.name == SHOP:
        count -= stored.count_documents({"status": {"$in": NOT_PLACED}})
    notifications = arena.collection(target.collections[1])
    deadline = time.monotonic() + PATIENCE
    while notifications.estimated_document_count() < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{target.name}: notifications are missing after {PATIENCE:g} s")
        time.sleep(0.05)
