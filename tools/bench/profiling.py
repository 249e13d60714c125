"""A profile of one order: how long each process is busy with it, and with what, one order at a time.

Each part runs here, in this process, as its service wires it, on the servers of a stack. It is timed first without and
then with the profiler, which makes Python code look slower than it is; the shares are what matters.
"""

import argparse
import cProfile
import json
import os
import pstats
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import order_service
import order_service.config
import product_service
from chassis import mongo
from chassis.tokens import ServiceToken
from notification_service.channels import channels
from notification_service.config import MAIL_FROM
from notification_service.handling import Handler
from notification_service.notifications import Notifier, Patience
from notification_service.store import NotificationStore
from order_service import events
from order_service.products import ProductClient
from order_service.publisher import Lanes, Publisher
from order_service.store import OrderStore
from order_service.worker import BATCH, Worker
from tools.bench import ground, results, tables
from tools.bench.ground import Arena
from tools.stack import Stack

ORDERS = 200
WAITING = ("recv_into", "recv", "poll", "select", "acquire", "epoll", "sendall", "connect", "read")
Part = Callable[[int], None]


def run(options: argparse.Namespace) -> None:
    """Profile every part of an order; save and print the milliseconds."""
    with ground.own(options.mongodb, {"LOG_LEVEL": "WARNING"}) as arena:
        assert arena.stack is not None  # noqa: S101
        arena.stack.hold("order-worker")
        parts = _parts(arena, arena.stack)
        found = {name: _profile(part) for name, part in parts.items()}
        libraries = sorted({library for part in found.values() for library in part["libraries"]})
        rows = [[name, f"{part['wall']:.2f}", f"{part['cpu']:.2f}"] for name, part in found.items()]
        print(tables.table(["part", "ms per order", "of it CPU"], rows))
        shares = [[x, *(f"{part['libraries'].get(x, 0):.2f}" for part in found.values())] for x in libraries]
        print("\nunder the profiler, ms per order by where they are spent\n")
        print(tables.table(["", *found], shares))
        print(f"-> {results.save('profile', arena.database, {'parts': found})}")


def _parts(arena: Arena, stack: Stack) -> dict[str, Part]:
    orders = _orders(arena, stack)
    orders(0)  # which the consumer is told of
    return {
        "order-service": orders,
        "product-service": _reservations(arena, stack),
        "order-worker": _worker(stack),
        "notification-consumer": _consumer(arena, stack),
    }


def _orders(arena: Arena, stack: Stack) -> Part:
    with mock.patch.dict(os.environ, stack.environment("order-service")):
        client = order_service.create_app().test_client()
    headers = {"Authorization": f"Bearer {arena.seed.tokens[0]}"}

    def place(number: int) -> None:
        product = arena.seed.products[number % len(arena.seed.products)]
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = client.post("/orders", json={"product_id": product, "quantity": 1}, headers={**headers, **key})
        assert answer.status_code == 201, answer.text  # noqa: S101

    return place


def _reservations(arena: Arena, stack: Stack) -> Part:
    with mock.patch.dict(os.environ, stack.environment("product-service")):
        client = product_service.create_app().test_client()
    token = _service_token(stack)

    def reserve(number: int) -> None:
        line = {"product_id": arena.seed.products[number % len(arena.seed.products)], "quantity": 1}
        path, headers = f"/reservations/{uuid.uuid4().hex}", {"Authorization": f"Bearer {token()}"}
        answer = client.put(path, json={"lines": [line]}, headers=headers)
        assert answer.status_code == 200, answer.text  # noqa: S101

    return reserve


def _worker(stack: Stack) -> Part:
    """Return the worker's part: it finds what the profile of order-service has left for it."""
    environment = stack.environment("order-worker")
    database = mongo.connect(environment["MONGO_URL"], "bench")
    store = OrderStore(database, mongo.DatabaseClock(database))
    products = ProductClient(environment["PRODUCT_SERVICE_URL"], _service_token(stack), slots=1)
    worker = Worker(store, products, Lanes([Publisher(environment["RABBITMQ_URL"])]), poll=1)

    def work(number: int) -> None:
        if number % BATCH == 0:
            worker.work()

    return work


def _consumer(arena: Arena, stack: Stack) -> Part:
    environment = stack.environment("notification-consumer")
    orders = mongo.connect(stack.environment("order-service")["MONGO_URL"], "bench")
    order = next(
        iter(OrderStore(orders, mongo.DatabaseClock(orders)).page(None, "confirmed", limit=1, cursor=None).items)
    )
    database = mongo.connect(environment["MONGO_URL"], "bench")
    store = NotificationStore(database, mongo.DatabaseClock(database))
    handle = Handler(Notifier(store, channels(None, MAIL_FROM), Patience(Event())))
    event = events.order_event(events.ORDER_CREATED, order, order.created_at)

    def notify(_number: int) -> None:
        handle([json.dumps({**event, "id": uuid.uuid4().hex}).encode()])

    return notify


def _service_token(stack: Stack) -> ServiceToken:
    environment = stack.environment("order-service")
    return ServiceToken(environment["TOKEN_URL"], environment["CLIENT_ID"], environment["CLIENT_SECRET"])


def _profile(part: Part) -> dict[str, Any]:
    part(1)
    started, busy = time.perf_counter(), time.process_time()
    _all(part)
    wall, cpu = time.perf_counter() - started, time.process_time() - busy
    profiler = cProfile.Profile()
    profiler.runcall(_all, part)
    own = Counter[str]()
    for (path, _, function), (_, _, seconds, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        own[_library(path, function)] += seconds
    per_order = 1000 / ORDERS
    shares = {library: seconds * per_order for library, seconds in own.most_common() if seconds * per_order >= 0.01}
    return {"wall": wall * per_order, "cpu": cpu * per_order, "libraries": shares}


def _all(part: Part) -> None:
    for number in range(ORDERS):
        part(number)


def _library(path: str, function: str) -> str:
    """Name the library that a function belongs to; what waits for a socket or a lock is set apart."""
    if path == "~":
        return "(waiting)" if any(f"'{name}'" in function for name in WAITING) else "(C functions)"
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return next((p for p in parts if p in ("chassis", "tools") or p.endswith("_service")), "standard library")
