"""./dev bench: what to measure on which targets, in which order, and how far it is."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import facts, report, rivals, shops
from bench.load import BASELINE, BESIDE, FLOOR, KEPT, SHOP, WORKLOADS, Workload
from bench.measuring import Point, measure
from bench.shops import Target
from tools.paths import ROOT
from tools.stack import mongodb
from tools.stack.readiness import StackError

TARGETS = (SHOP, BASELINE, KEPT, FLOOR, BESIDE)
Step = tuple[Workload, int, int, str]  # the workload, how many clients, the round, the target
PARTS = ("workloads", "clients", "seconds", "rounds", "only")  # with none of them a run is whole, and saved


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Measure the shop beside a naive one; without arguments, save tables and a chart in bench/results."""
    parser.add_argument("workloads", nargs="*", default=[], metavar="WORKLOAD", help=f"some of {', '.join(WORKLOADS)}")
    parser.add_argument("--clients", type=int, nargs="+", default=[], help="numbers of clients at a time")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (5)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each target, in turn (5)")
    parser.add_argument("--only", nargs="+", default=[], choices=TARGETS, help="measure only these targets")
    parser.add_argument("--beside", type=Path, metavar="PATH", help="a checkout whose shop is compared")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of that shop")
    parser.add_argument("--save", action="store_true", help="save the results of a part as well")
    mongodb.add_option(parser, default=shops.fastest())

    def run(options: argparse.Namespace) -> int:
        if unknown := set(options.workloads) - set(WORKLOADS):
            parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
        if (options.beside or options.set) and any(os.environ.get(variable) for variable in shops.SERVERS):
            parser.error(f"two shops need servers of their own: unset {', '.join(shops.SERVERS)}")
        options.save |= all(getattr(options, name) == parser.get_default(name) for name in PARTS)
        return bench(options)

    return run


def bench(options: argparse.Namespace) -> int:
    """Measure, print what was found, and save it if that is asked for and it is of one version."""
    chosen = [WORKLOADS[name] for name in options.workloads] or list(WORKLOADS.values())
    steps = plan(chosen, lambda workload: targets_of(workload, options), options.clients, options.rounds)
    try:
        with ExitStack() as running:
            targets = _start({SHOP, *(target for *_, target in steps)}, options, running)
            known = facts.of(targets[SHOP], [ROOT, *([options.beside or ROOT] if BESIDE in targets else [])])
            points = _measure(steps, targets, options.seconds)
    except StackError as exc:
        print(exc)
        return 1
    found = {**known, "seconds": options.seconds, "rounds": options.rounds, "points": points}
    print(f"\n{report.text(found)}")
    if options.save and BESIDE not in targets:
        print("\n".join(f"-> {path}" for path in report.save(found)))
    return 0


def targets_of(workload: Workload, options: argparse.Namespace) -> list[str]:
    """Return what to measure a workload on: the shop and its rivals, or two shops, or those that are named."""
    kept = [KEPT] if BASELINE in workload.rivals else []
    if options.only:
        return [name for name in (BESIDE, *workload.rivals, *kept, SHOP) if name in options.only]
    return [BESIDE, SHOP] if options.beside or options.set else [*workload.rivals, SHOP]


def plan(
    workloads: Sequence[Workload], targets: Callable[[Workload], list[str]], clients: Sequence[int], rounds: int
) -> list[Step]:
    """Return all steps: in a round each target once, in the next one in reverse, so that no order favours one."""
    return [
        (workload, number, turn, target)
        for workload in workloads
        for number in clients or workload.clients
        for turn in range(1, rounds + 1)
        for target in targets(workload)[:: 1 if turn % 2 else -1]
    ]


def _start(names: set[str], options: argparse.Namespace, running: ExitStack) -> dict[str, Target]:
    """Start the targets, the shop first: its rivals run on its servers."""
    folder = running.enter_context(tempfile.TemporaryDirectory(prefix="shop-bench-", ignore_cleanup_errors=True))
    started: dict[str, Target] = {}
    for name in sorted(names, key=lambda name: name != SHOP):
        checkout, chosen = ((options.beside or ROOT).resolve(), options.set) if name == BESIDE else (ROOT, [])
        print(f"starting {' '.join([name, *chosen])} ...", flush=True)
        if name in (SHOP, BESIDE):
            settings = dict(setting.split("=", 1) for setting in chosen)
            shop = shops.running(name, checkout, Path(folder) / name, options.mongodb, settings)
            started[name] = running.enter_context(shop)
        else:
            started[name] = rivals.start(name, started[SHOP])
    return started


def _measure(steps: list[Step], targets: dict[str, Target], seconds: int) -> list[Point]:
    for target in targets.values():
        warm_up = "product" if target.name == FLOOR else "orders-spread"
        measure(target, WORKLOADS[warm_up], clients=8, seconds=1)
    points, began, pause = [], time.monotonic(), 0.0
    for number, step in enumerate(steps):
        per_step = (time.monotonic() - began) / number if number else seconds + 2
        minutes, left = divmod(round(per_step * (len(steps) - number)), 60)
        workload, clients, turn, name = step
        head = f"[{number + 1}/{len(steps)}, {minutes}:{left:02} left] {workload.name}, {clients} clients"
        print(f"{head}, round {turn}, {name}: ", end="", flush=True)
        if workload.at_half_load:
            pause = pause or _pause_for_half_load(targets[SHOP], clients, seconds)
        waiting = pause if workload.at_half_load else 0.0
        point = measure(targets[name], workload, clients=clients, seconds=seconds, pause=waiting)
        print(report.line(point), flush=True)
        points.append({"workload": workload.name, "clients": clients, "target": name, "round": turn, **point})
    return points


def _pause_for_half_load(shop: Target, clients: int, seconds: int) -> float:
    """Return how long (ms) each client has to wait between two orders for half of the peak load."""
    peak = measure(shop, WORKLOADS["orders-spread"], clients=clients, seconds=seconds)
    return max(1.0, 2000 * clients / float(peak["throughput"]) - float(peak["p50"]) / 2)
