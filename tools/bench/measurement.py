"""One measurement: send a load to a target, wait for all of its effects, and return their costs."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import psutil

from tools.bench import wrk
from tools.bench.targets import Target
from tools.bench.wrk import Workload

Measurement = dict[str, Any]
SETTLE_SECONDS = 300.0  # a target that needs longer for the backlog of a few seconds is broken
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IN_PROGRESS = 300  # notifications; more than a consumer handles at a time


def measure(target: Target, workload: Workload, *, clients: int, seconds: int, pause: float = 0.0) -> Measurement:
    """Send a load and wait until its last notification is stored.

    Latencies and lags are in ms, memory in MB; CPU is in ms per placed order, or per request.
    """
    newest = _notifications(target).limit(1).to_list() if workload.at_half_load else []
    before, cpu = placed(target), _cpu_seconds(target)
    measurement = wrk.run(workload, target, clients=clients, seconds=seconds, pause=pause)
    if workload.places_orders:
        settle(target)
    operations = placed(target) - before if workload.places_orders else measurement["requests"]
    for name, after in _cpu_seconds(target).items():
        measurement[name] = 1000 * (after - cpu[name]) / max(1, operations)
    measurement["memory"] = pss_megabytes(target.pids())
    if workload.at_half_load:
        percentiles = quantiles(_lags(target, newest[0]["created_at"] if newest else EPOCH), n=100)
        measurement |= {"lag_p50": percentiles[49], "lag_p99": percentiles[98]}
    return {key: round(value, 3) for key, value in measurement.items()}


def settle(target: Target) -> None:
    """Wait until no order arrives (some do after wrk has ended), and all are published and notified."""
    orders, notifications, count = target.collection("orders"), target.collection("notifications"), -1
    while count != (count := orders.estimated_document_count()):
        time.sleep(0.3)
    wait_for(target, "stored", lambda: notifications.estimated_document_count() >= placed(target))
    if target.is_shop:
        newest = _notifications(target).limit(IN_PROGRESS)
        wait_for(target, "published", lambda: not orders.find_one({"due": {"$gt": EPOCH}}, {"_id": True}))
        wait_for(target, "sent", lambda: all(notification["status"] == "sent" for notification in newest.clone()))


def wait_for(target: Target, state: str, is_done: Callable[[], bool]) -> None:
    """Wait until a condition holds. Stops with a message, which says that not all are `state`, if that takes long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{target.name}: not all notifications are {state} after {SETTLE_SECONDS:g} s.")
        time.sleep(0.05)


def placed(target: Target) -> int:
    """Return how many orders were placed so far."""
    orders = target.collection("orders")
    not_placed = orders.count_documents({"status": {"$in": ["rejected", "failed"]}}) if target.is_shop else 0
    return int(orders.estimated_document_count() - not_placed)


def _notifications(target: Target, since: datetime = EPOCH) -> Any:
    return target.collection("notifications").find({"created_at": {"$gt": since}}).sort("created_at", -1)


def _lags(target: Target, since: datetime) -> list[float]:
    """Return the ms from each order's confirmation to its notification, by the times in the database."""
    notified = {notification["order_id"]: notification["created_at"] for notification in _notifications(target, since)}
    orders = target.collection("orders").find({"_id": {"$in": list(notified)}})
    confirmed = {order["_id"]: order.get("updated_at", order["created_at"]) for order in orders}
    return [(notified[order] - confirmed[order]).total_seconds() * 1000 for order in notified]


def _cpu_seconds(target: Target) -> dict[str, float]:
    """Return the CPU time that the target's programs, its database and its broker have used so far."""
    pids = {"cpu": target.pids(), "cpu_database": target.pids("mongodb"), "cpu_broker": target.pids("rabbitmq")}
    return {name: cpu_seconds(each) for name, each in pids.items()}


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used so far, with that of their children that have ended."""
    return _sum(pids, lambda process: sum(process.cpu_times()[:4]))


def pss_megabytes(pids: Iterable[int]) -> float:
    """Return the memory of processes. A page that several of them share counts in proportion (PSS)."""
    return _sum(pids, lambda process: process.memory_full_info().pss) / 2**20


def _sum(pids: Iterable[int], value_of: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it has just ended
            total += value_of(psutil.Process(pid))
    return total
