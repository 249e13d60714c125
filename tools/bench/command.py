"""./dev bench: which measurement to make, and how long."""

import argparse
from collections.abc import Callable
from typing import Any

from tools import mongodb, programs
from tools.bench import floor, ground, growth, measuring, profiling, report, results, tables
from tools.bench.ground import Arena
from tools.bench.workloads import SHOP, WORKLOADS, Workload
from tools.readiness import StackError

CLIENTS = [1, 8, 32, 128]
OTHERS: dict[str, Callable[[argparse.Namespace], None]] = {
    "floor": floor.run,
    "growth": growth.run,
    "profile": profiling.run,
    "report": report.run,
}


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Measure: all workloads, or the named ones; `floor`, `growth`, `profile`; `report` writes the tables."""
    names = [*WORKLOADS, "lag", *OTHERS]
    parser.add_argument("what", nargs="*", metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="numbers of clients at a time")
    parser.add_argument("--seconds", type=float, default=10, help="length of one run")
    parser.add_argument("--rounds", type=int, default=5, help="how often each run is repeated, targets in turn")
    parser.add_argument("--only", nargs="+", metavar="TARGET", help="shop, baseline, baseline-kept, floor")
    parser.add_argument("--scale", type=float, default=1.0, help="of growth: 0.01 makes it a hundredth")
    mongodb.add_option(parser, default=ground.fastest())
    parser.add_argument("--url", help="use the shop at this URL (its usual ports) instead of an own one")
    parser.add_argument("--admin", default=f"{programs.ADMIN_EMAIL}:{programs.ADMIN_PASSWORD}", help="of that shop")

    def run(options: argparse.Namespace) -> int:
        if unknown := [name for name in options.what if name not in names]:
            parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(names)}")
        return bench(options)

    return run


def bench(options: argparse.Namespace) -> int:
    """Make the measurements that are asked for."""
    chosen = options.what or [*WORKLOADS, "lag"]
    workloads = [name for name in chosen if name not in OTHERS]
    try:
        if workloads:
            _measure(workloads, options)
        for name in chosen:
            if name in OTHERS:
                OTHERS[name](options)
    except StackError as exc:
        print(exc)
        return 1
    return 0


def _measure(names: list[str], options: argparse.Namespace) -> None:
    admin = tuple(options.admin.split(":", 1))
    place = ground.elsewhere(options.url, (admin[0], admin[-1])) if options.url else ground.own(options.mongodb)
    with place as arena:
        print(f"database: {arena.database}", flush=True)
        for name in names:
            content = _lag(arena, options) if name == "lag" else _workload(arena, WORKLOADS[name], options)
            result = {"seconds": options.seconds, "rounds": options.rounds, **content}
            print(f"\n{name}\n{tables.workload(result)}", flush=True)
            if not options.url:
                print(f"-> {results.save(name, arena.database, result)}", flush=True)


def _workload(arena: Arena, workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a workload: for each number of clients, the targets one after the other, round by round."""
    wanted = [name for name in (*workload.beside, SHOP) if name in (options.only or arena.targets)]
    targets = [arena.targets[name] for name in wanted if name in arena.targets]
    for target in targets:
        measuring.measure(arena, target, workload, clients=8, seconds=1)
    points = [
        measuring.measure(arena, target, workload, clients=clients, seconds=options.seconds).plain()
        for clients in options.clients
        for _ in range(options.rounds)
        for target in targets
    ]
    return {"points": points}


def _lag(arena: Arena, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the time from order to notification at half of the peak load, which is looked for first."""
    workload, shop = WORKLOADS["orders-spread"], arena.targets[SHOP]
    clients = 32
    peak = measuring.measure(arena, shop, workload, clients=clients, seconds=options.seconds)
    pause = max(1.0, 1000 * clients / (peak.throughput / 2) - peak.p50 / 2)
    points = [
        measuring.measure(arena, shop, workload, clients=clients, seconds=options.seconds, pause=pause).plain()
        for _ in range(options.rounds)
    ]
    return {"peak": peak.plain(), "points": points}
