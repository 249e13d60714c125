"""Growth: what each route costs with a larger catalogue and more orders, one request at a time.

The stored documents are copies of ones that the services made themselves, so that they always have the right form.
"""

import argparse
import random
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import requests

from chassis import mongo
from order_service.store import OrderStore
from tools.bench import ground, results, tables
from tools.bench.ground import Arena
from tools.bench.seeding import CATEGORIES, WORDS

STAGES = ((100, 1_000), (10_000, 100_000), (100_000, 1_000_000))
BATCH = 1000
REPEATS = 200
NOT_COPIED = {"due", "outbox", "idempotency_key", "release", "sku_key"}


def run(options: argparse.Namespace) -> None:
    """Measure the median latency of every route at each stage; save and print it with the growth as a ratio."""
    with ground.own(options.mongodb) as arena:
        routes = _routes(arena)
        for work in routes.values():  # among others, this makes the documents that are copied
            _median(work, 20)
        found: dict[str, list[float]] = {name: [] for name in routes}
        stages = [(max(100, round(p * options.scale)), max(1000, round(o * options.scale))) for p, o in STAGES]
        for products, orders in stages:
            _fill(arena.collection("product_service.products"), products)
            _fill(arena.collection("order_service.orders"), orders)
            print(f"{products} products, {orders} orders", flush=True)
            for name, work in routes.items():
                found[name].append(_median(work, REPEATS))
        rows = [[name, *map(tables.number, times), f"{times[-1] / times[0]:.2f}"] for name, times in found.items()]
        print(tables.table(["median ms", *(f"{p} / {o}" for p, o in stages), "growth"], rows))
        print(f"-> {results.save('growth', arena.database, {'stages': stages, 'milliseconds': found})}")


def _routes(arena: Arena) -> dict[str, Callable[[], Any]]:
    """Return one call per route, by a name for the table."""
    assert arena.stack is not None  # noqa: S101
    session = requests.Session()
    headers = {"Authorization": f"Bearer {arena.seed.tokens[0]}"}
    product, orders_url = arena.seed.products[0], arena.stack.urls["order-service"] + "/orders"
    database = mongo.connect(arena.stack.environment("order-worker")["MONGO_URL"], "bench")
    store = OrderStore(database, mongo.DatabaseClock(database))

    def get(service: str, path: str) -> Callable[[], Any]:
        url = arena.targets["shop"].urls[service] + path
        return lambda: session.get(url, headers=headers, timeout=60).raise_for_status()

    def place() -> str:
        answer = session.post(orders_url, json={"product_id": product, "quantity": 1}, headers=headers, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["id"])

    word, category = WORDS[0], CATEGORIES[0]
    return {
        "POST /orders": place,
        "GET /orders/{id}": get("order-service", f"/orders/{place()}"),
        "GET /orders": get("order-service", "/orders"),
        "GET /orders?status": get("order-service", "/orders?status=confirmed"),
        "GET /products/{id}": get("product-service", f"/products/{product}"),
        "GET /products": get("product-service", "/products"),
        "GET /products?q": get("product-service", f"/products?q={word}"),
        "GET /products?q&sort=price": get("product-service", f"/products?q={word}&sort=price&in_stock=true"),
        "GET /products?category": get("product-service", f"/products?category={category}&sort=newest"),
        "GET /products?min_price": get("product-service", "/products?min_price=20.00&max_price=21.00&sort=price"),
        "GET /notifications": get("notification-service", "/notifications"),
        "worker's poll": lambda: store.due(100),
    }


def _median(work: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def _fill(collection: Any, wanted: int) -> None:
    """Copy documents of a collection until it has as many as wanted."""
    patterns = list(collection.find().limit(BATCH))
    missing = wanted - collection.estimated_document_count()
    while missing > 0:
        collection.insert_many([_copy(random.choice(patterns)) for _ in range(min(BATCH, missing))], ordered=False)
        missing -= BATCH


def _copy(pattern: dict[str, Any]) -> dict[str, Any]:
    age = timedelta(milliseconds=random.randrange(10**9))
    kept = {field: value for field, value in pattern.items() if field not in NOT_COPIED}
    if "user" in kept:
        kept |= {"status": "confirmed", "user": {**kept["user"], "id": f"{random.randrange(10**5):032d}"}}
    return {**kept, "_id": uuid.uuid4().hex, "created_at": pattern["created_at"] - age}
