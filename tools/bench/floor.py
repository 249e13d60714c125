"""The floor: what the bare parts of an order cost, each alone, with as many threads as a service has.

`bench.floor` does all of it together, as the target `floor` of the workloads.
"""

import argparse
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika
import pymongo
from pymongo.database import Database

from bench.floor.operations import LINE, ORDER, Operations
from tools.bench import ground, measuring, meter, results, rivals, tables
from tools.bench.ground import Arena
from tools.bench.seeding import PLENTY
from tools.bench.workloads import FLOOR, HOPS, WORKLOADS

THREADS = 8
PUBLISHED = "bench.published"


def run(options: argparse.Namespace) -> None:
    """Measure every part of the floor, and save and print what it costs per order."""
    with ground.own(options.mongodb) as arena:
        parts = {
            "bare operations of an order": _order(arena),
            "bare operations of a naive order": _naive_order(arena),
            "bare find by _id": _find(arena),
        }
        found = {name: _measure(arena, work, options.seconds) for name, work in parts.items()}
        found["confirmed publish, delivery"] = _publishing(arena, options.seconds)
        found["two empty hops"] = _hops(arena, options.seconds)
        rows = [[name, *(tables.number(part[key]) for key in COLUMNS)] for name, part in found.items()]
        print(tables.table(["part", *COLUMNS.values()], rows))
        print(f"-> {results.save('floor', arena.database, {'parts': found})}")


COLUMNS = {"throughput": "per second", "cpu": "CPU ms", "cpu_database": "database", "cpu_broker": "broker"}


def _order(arena: Arena) -> Callable[[], None]:
    """Return the writes of an order, but for the one that empties the outboxes of up to a hundred."""
    operations = Operations(_database(arena))

    def place() -> None:
        order_id = uuid.uuid4().hex
        operations.open(order_id)
        operations.take(order_id, random.choice(arena.seed.products))
        operations.confirm(order_id)
        operations.claim(order_id)
        operations.sent(order_id)

    return place


def _naive_order(arena: Arena) -> Callable[[], None]:
    database = _database(arena)

    def place() -> None:
        order_id, product_id = uuid.uuid4().hex, random.choice(arena.seed.products)
        database.products.find_one({"_id": product_id})
        database.naive_orders.insert_one({**ORDER, "_id": order_id, "lines": [LINE]})
        database.products.update_one({"_id": product_id}, {"$set": {"stock": PLENTY}})
        database.naive_notifications.insert_one({"_id": order_id, "body": "x" * 200})

    return place


def _database(arena: Arena) -> "Database[dict[str, Any]]":
    """Return the floor's own database, at the rivals' URL and so with writes as durable as theirs."""
    assert arena.stack is not None  # noqa: S101
    url = rivals.database_url(arena.stack.administrators()["MONGO_URL"], FLOOR)
    return pymongo.MongoClient[dict[str, Any]](url).get_default_database()


def _find(arena: Arena) -> Callable[[], None]:
    products, product_id = arena.collection("product_service.products"), arena.seed.products[0]
    return lambda: products.find_one({"_id": product_id}) and None


def _measure(arena: Arena, work: Callable[[], None], seconds: float, threads: int = THREADS) -> dict[str, float]:
    """Do something over and over in several threads; return how often, and the CPU it took here and in the servers."""
    stop = threading.Event()

    def repeat() -> int:
        done = 0
        while not stop.is_set():
            work()
            done += 1
        return done

    work()
    before, own, started = _servers(arena), time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        repeated = [pool.submit(repeat) for _ in range(threads)]
        stop.wait(seconds)
        stop.set()
    done = sum(each.result() for each in repeated)
    spent, own, after = time.perf_counter() - started, time.process_time() - own, _servers(arena)
    per_piece = [1000 * (late - early) / done for early, late in zip(before, after, strict=True)]
    return {
        "throughput": done / spent,
        "cpu": 1000 * own / done,
        "cpu_database": per_piece[0],
        "cpu_broker": per_piece[1],
    }


def _servers(arena: Arena) -> list[float]:
    return [meter.cpu_seconds(arena.pids((server,))) for server in measuring.SERVERS]


def _publishing(arena: Arena, seconds: float) -> dict[str, float]:
    """Publish with a confirm and take it back, in a single thread, as the worker and the consumer do."""
    assert arena.stack is not None  # noqa: S101
    url = arena.stack.administrators()["RABBITMQ_URL"]
    properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(PUBLISHED, durable=True, arguments={"x-queue-type": "quorum"})
        messages = channel.consume(PUBLISHED)

        def publish() -> None:
            channel.basic_publish("", PUBLISHED, b"x" * 600, properties, mandatory=True)
            channel.basic_ack(next(messages)[0].delivery_tag)

        return _measure(arena, publish, seconds, threads=1)


def _hops(arena: Arena, seconds: float) -> dict[str, float]:
    point = measuring.measure(arena, arena.targets[HOPS], WORKLOADS["orders-spread"], clients=THREADS, seconds=seconds)
    return {key: getattr(point, key) or 0.0 for key in COLUMNS}
