"""The floor: what the bare parts of an order cost, each alone, with as many threads as a service has.

Together with the two empty hops (target `floor` of the orders' workload) they are the least that any implementation on
this stack must do: store the order, take stock in a transaction, confirm, publish with a confirm, note what was sent.
"""

import argparse
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika
import pymongo

from tools.bench import ground, measuring, meter, results, rivals, tables
from tools.bench.ground import Arena
from tools.bench.workloads import FLOOR, WORKLOADS

THREADS = 8
ORDER = {"status": "pending", "user": {"id": "u" * 32, "email": "customer@example.com"}, "fingerprint": "f" * 64}
LINE = {"product_id": "p" * 32, "name": "a product", "unit_price": 1990, "quantity": 1}


def run(options: argparse.Namespace) -> None:
    """Measure every part of the floor, and save and print what it costs per order."""
    with ground.own() as arena:
        assert arena.client is not None  # noqa: S101
        parts = {
            "bare operations of an order": _order(arena.client),
            "bare operations of a naive order": _naive_order(arena.client),
            "bare find by _id": _find(arena),
        }
        found = {name: _measure(arena, work, options.seconds) for name, work in parts.items()}
        found["confirmed publish, delivery"] = _publishing(arena, options.seconds)
        found["two empty hops"] = _hops(arena, options.seconds)
        rows = [[name, *(tables.number(part[key]) for key in COLUMNS)] for name, part in found.items()]
        print(tables.table(["part", *COLUMNS.values()], rows))
        print(f"-> {results.save('floor', arena.database, {'parts': found})}")


COLUMNS = {"throughput": "per second", "cpu": "CPU ms", "cpu_database": "database", "cpu_broker": "broker"}


def _order(client: "pymongo.MongoClient[dict[str, Any]]") -> Callable[[], None]:
    """Return the operations of an order: a service may do more, none less."""
    database = client[rivals.database_of(FLOOR)]
    orders, products, reservations = database.bare_orders, database.bare_products, database.bare_reservations
    notifications = database.bare_notifications
    ids = [str(number) for number in range(200)]
    products.delete_many({})
    products.insert_many([{"_id": product_id, "stock": 10**9} for product_id in ids])
    orders.create_index("due", sparse=True)

    def place() -> None:
        order_id = uuid.uuid4().hex
        product_id = ids[int(order_id[:8], 16) % len(ids)]
        orders.insert_one({**ORDER, "_id": order_id, "due": time.time()})
        with client.start_session() as session:
            session.with_transaction(lambda session: take(session, order_id, product_id))
        change = {"$set": {"status": "confirmed", "lines": [LINE], "outbox": [LINE], "due": time.time()}}
        orders.update_one({"_id": order_id, "status": "pending"}, change)
        orders.update_one({"_id": order_id}, {"$set": {"outbox": []}, "$unset": {"due": ""}})
        notifications.insert_one({"_id": order_id, "status": "sending", "body": "x" * 200})
        notifications.update_one({"_id": order_id}, {"$set": {"status": "sent"}})

    def take(session: Any, order_id: str, product_id: str) -> None:
        products.find_one({"_id": product_id}, session=session)
        products.update_one({"_id": product_id, "stock": {"$gte": 1}}, {"$inc": {"stock": -1}}, session=session)
        reservations.insert_one({"_id": order_id, "lines": [LINE]}, session=session)

    return place


def _naive_order(client: "pymongo.MongoClient[dict[str, Any]]") -> Callable[[], None]:
    database = client[rivals.database_of(FLOOR)]
    ids = [str(number) for number in range(200)]

    def place() -> None:
        order_id = uuid.uuid4().hex
        product_id = ids[int(order_id[:8], 16) % len(ids)]
        database.bare_products.find_one({"_id": product_id})
        database.naive_orders.insert_one({**ORDER, "_id": order_id, "lines": [LINE]})
        database.bare_products.update_one({"_id": product_id}, {"$set": {"stock": 10**9}})
        database.naive_notifications.insert_one({"_id": order_id, "body": "x" * 200})

    return place


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
    url = dict(line.split("=", 1) for line in (arena.stack.state / "admin.env").read_text().splitlines())[
        "RABBITMQ_URL"
    ]
    properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("bench.floor", durable=True, arguments={"x-queue-type": "quorum"})
        messages = channel.consume("bench.floor")

        def publish() -> None:
            channel.basic_publish("", "bench.floor", b"x" * 600, properties, mandatory=True)
            channel.basic_ack(next(messages)[0].delivery_tag)

        return _measure(arena, publish, seconds, threads=1)


def _hops(arena: Arena, seconds: float) -> dict[str, float]:
    point = measuring.measure(arena, arena.targets[FLOOR], WORKLOADS["orders-spread"], clients=THREADS, seconds=seconds)
    return {key: getattr(point, key) or 0.0 for key in COLUMNS}
