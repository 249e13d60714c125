"""One measurement: a load on a target, and what it cost."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tools.bench import load, meter
from tools.bench.ground import Arena, Target, settle
from tools.bench.load import Load
from tools.bench.workloads import FLOOR, SHOP, Workload

SERVERS = ("mongodb", "rabbitmq")
NEWEST = 2000


@dataclass(frozen=True)
class Point:
    """What one run gave. CPU is in milliseconds per request, of everything that followed from it as well.

    `lag_*` is the time (ms) from an order's confirmation to its stored notification.
    """

    target: str
    clients: int
    throughput: float
    p50: float
    p95: float
    p99: float
    longest: float
    refused: int
    broken: int
    cpu: float | None = None
    cpu_database: float | None = None
    cpu_broker: float | None = None
    memory: float | None = None
    lag_p50: float | None = None
    lag_p99: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return the point for JSON, numbers rounded."""
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class _State:
    orders: int
    newest: datetime | None


def measure(
    arena: Arena, target: Target, workload: Workload, *, clients: int, seconds: float, pause: float = 0.0
) -> Point:
    """Drive a target, wait until all that follows is done, and return what it took."""
    before, busy_before = _state(arena, target), _cpu(arena, target)
    ran = load.drive(
        workload.name, target.urls[workload.service], arena.data, clients=clients, seconds=seconds, pause=pause
    )
    if workload.places_orders:
        settle(arena, target)
    busy_after, after = _cpu(arena, target), _state(arena, target)
    requests = (after.orders - before.orders if workload.places_orders else 0) or max(1, ran.requests)
    cpu = [1000 * (late - early) / requests for early, late in zip(busy_before, busy_after, strict=True)]
    return _point(arena, target, clients, ran, before, after, cpu)


def _point(
    arena: Arena, target: Target, clients: int, ran: Load, before: _State, after: _State, cpu: list[float]
) -> Point:
    seen = {name: getattr(ran, name) for name in ("throughput", "p50", "p95", "p99", "longest", "refused", "broken")}
    if arena.stack is None:
        return Point(target.name, clients, **seen)
    lags = _lags(arena, target, before.newest) if after.orders > before.orders else []
    return Point(
        target.name,
        clients,
        **seen,
        cpu=cpu[0],
        cpu_database=cpu[1],
        cpu_broker=cpu[2],
        memory=meter.pss_megabytes(arena.pids(target.programs)),
        lag_p50=_percentile(lags, 50),
        lag_p99=_percentile(lags, 99),
    )


def _state(arena: Arena, target: Target) -> _State:
    orders = arena.collection(target.collections[0]).estimated_document_count() if target.collections else 0
    last = arena.collection(target.collections[1]).find_one(sort=[("created_at", -1)]) if target.collections else None
    return _State(orders, last["created_at"] if last else None)


def _cpu(arena: Arena, target: Target) -> list[float]:
    """Return the CPU time (s) that a target's programs and each of the servers have used."""
    return [meter.cpu_seconds(arena.pids(names)) for names in (target.programs, *((server,) for server in SERVERS))]


def _lags(arena: Arena, target: Target, since: datetime | None) -> list[float]:
    """Return the milliseconds from order to notification of those since then, by the times stored in the database."""
    if target.collections is None:
        return []
    orders, notifications = (arena.collection(name) for name in target.collections)
    wanted = {"created_at": {"$gt": since}} if since else {}
    newest = list(
        notifications.find(wanted, {"order_id": True, "created_at": True}).sort("created_at", -1).limit(NEWEST)
    )
    field = "updated_at" if target.name in (SHOP, FLOOR) else "created_at"
    confirmed = {
        o["_id"]: o[field] for o in orders.find({"_id": {"$in": [n["order_id"] for n in newest]}}, {field: True})
    }
    return [(n["created_at"] - confirmed[n["order_id"]]).total_seconds() * 1000 for n in newest]


def _percentile(values: list[float], share: float) -> float | None:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share / 100))] if ranked else None
