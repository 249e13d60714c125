"""How fast one worker and one consumer catch up: each works alone on the orders that were placed while it was away."""

import time
from collections.abc import Callable

from tools.bench import wrk
from tools.bench.measurement import Measurement, placed, wait_for
from tools.bench.targets import Target
from tools.bench.wrk import WORKLOADS
from tools.stack.stack import Stack

WORKER, CONSUMER = PROGRAMS = ("order-worker", "notification-consumer")


def measure(shop: Target, stack: Stack, *, clients: int, seconds: int) -> Measurement:
    """Return the events per second of the worker and the consumer, for the orders of so many seconds."""
    orders, notifications = shop.collection("orders"), shop.collection("notifications")
    for program in PROGRAMS:
        stack.suspend(program)
    wrk.run(WORKLOADS["orders-spread"], shop, clients=clients, seconds=seconds, pause=0.0)
    wait_for(shop, "placed", lambda: _is_steady(lambda: placed(shop)))
    waiting = {
        WORKER: lambda: int(orders.count_documents({"due": {"$exists": True}})),
        CONSUMER: lambda: placed(shop) - int(notifications.estimated_document_count()),
    }
    return {program: round(_catch_up(shop, stack, program, count), 1) for program, count in waiting.items()}


def _is_steady(value: Callable[[], int]) -> bool:
    before = value()
    time.sleep(0.3)
    return value() == before


def _catch_up(shop: Target, stack: Stack, program: str, waiting: Callable[[], int]) -> float:
    """Start a program, and return how many it does per second, from its first one to the last one that waits."""
    total = waiting()
    stack.resume(program)
    wait_for(shop, f"begun by {program}", lambda: waiting() < total)
    first, started = waiting(), time.monotonic()
    wait_for(shop, f"done by {program}", lambda: not waiting())
    return first / (time.monotonic() - started)
