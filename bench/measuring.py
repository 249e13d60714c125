"""One measurement: a load on a target, and what it costs until all that follows from it is done."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil

from bench import load
from bench.load import Workload
from bench.shops import Target

Point = dict[str, Any]
PATIENCE = 300.0  # a server that needs longer for what a few seconds of orders leave behind is out of order
NOT_PLACED = ["rejected", "failed"]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST = 2000  # lags that are looked at
IN_WORK = 300  # more than a consumer has in its hands at a time


def measure(target: Target, workload: Workload, *, clients: int, seconds: int, pause: float = 0.0) -> Point:
    """Drive a target, wait until its last notification is stored, and return what it took.

    Latencies and lags are in milliseconds; `cpu` is in milliseconds per placed order, or per request.
    """
    newest = _newest(target, 1) if workload.at_half_load else []
    before, spent = _placed(target), _cpu(target)
    url = target.urls[workload.service]
    point = load.drive(workload.name, url, target.lua_data, clients=clients, seconds=seconds, pause=pause)
    if workload.places_orders:
        settle(target)
    spent = [late - early for early, late in zip(spent, _cpu(target), strict=True)]
    done = _placed(target) - before if workload.places_orders else point["requests"]
    costs = (1000 * each / max(1, done) for each in spent)
    point |= dict(zip(("cpu", "cpu_database", "cpu_broker"), costs, strict=True))
    point["memory"] = pss_megabytes(target.pids())
    if workload.at_half_load:
        lags = sorted(_lags(target, newest[0]["created_at"] if newest else LONG_AGO))
        point |= {f"lag_p{share}": lags[len(lags) * share // 100] if lags else None for share in (50, 99)}
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in point.items()}


def settle(target: Target) -> None:
    """Wait until no more orders come in (some are answered after wrk has gone), and all are published and notified."""
    orders, notifications, count = target.collection("orders"), target.collection("notifications"), -1
    while count != (count := orders.estimated_document_count()):
        time.sleep(0.3)
    steps: dict[str, Callable[[], bool]] = {
        "published": lambda: not (target.is_shop and orders.find_one({"due": {"$gt": LONG_AGO}}, {"_id": True})),
        "notified": lambda: notifications.estimated_document_count() >= _placed(target),
        "marked": lambda: not target.is_shop or all(n["status"] == "sent" for n in _newest(target, IN_WORK)),
    }
    for name, is_done in steps.items():
        deadline = time.monotonic() + PATIENCE
        while not is_done():
            if time.monotonic() > deadline:
                raise SystemExit(f"{target.name}: not all orders are {name} after {PATIENCE:g} s")
            time.sleep(0.05)


def _placed(target: Target) -> int:
    orders = target.collection("orders")
    refused = orders.count_documents({"status": {"$in": NOT_PLACED}}) if target.is_shop else 0
    return int(orders.estimated_document_count() - refused)


def _newest(target: Target, limit: int, since: datetime = LONG_AGO) -> list[dict[str, Any]]:
    fields = dict.fromkeys(("order_id", "status", "created_at"), True)
    found = target.collection("notifications").find({"created_at": {"$gt": since}}, fields)
    return list(found.sort("created_at", -1).limit(limit))


def _lags(target: Target, since: datetime) -> list[float]:
    """Return the milliseconds from an order's confirmation to its notification, by the times in the database."""
    newest = _newest(target, NEWEST, since)
    wanted = {"_id": {"$in": [notification["order_id"] for notification in newest]}}
    confirmed = {o["_id"]: o.get("updated_at", o["created_at"]) for o in target.collection("orders").find(wanted)}
    return [(each["created_at"] - confirmed[each["order_id"]]).total_seconds() * 1000 for each in newest]


def _cpu(target: Target) -> list[float]:
    """Return the CPU time (s) that a target's programs, its database and its broker have used."""
    servers = (target.stack.pids(name) for name in ("mongodb", "rabbitmq"))
    return [cpu_seconds(pids) for pids in (target.pids(), *servers)]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used so far, that of their ended children included."""
    seconds = 0.0
    for pid in pids:
        with suppress(psutil.Error):  # it has just ended
            seconds += sum(psutil.Process(pid).cpu_times()[:4])
    return seconds


def pss_megabytes(pids: Iterable[int]) -> float:
    """Return the memory of processes, pages that several of them share counted in proportion."""
    size = 0
    for pid in pids:
        with suppress(psutil.Error):  # it has just ended
            size += psutil.Process(pid).memory_full_info().pss
    return size / 2**20
