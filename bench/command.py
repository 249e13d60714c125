"""./dev bench: what to measure on which targets, in which order, and how far it is."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench import facts, report, rivals, shops
from bench.load import BASELINE, BESIDE, FLOOR, KEPT, SHOP, WORKLOADS, Workload
from bench.measuring import Point, measure
from bench.shops import Target
from tools import mongodb
from tools.paths import ROOT
from tools.readiness import StackError

TARGETS = (SHOP, BASELINE, KEPT, FLOOR, BESIDE)
SECONDS, ROUNDS = 5, 5


class Step(NamedTuple):
    """One measurement of a run."""

    workload: Workload
    clients: int
    round: int
    target: str


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Measure the shop beside a naive one; without arguments, save tables and a chart in bench/results."""
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"some of {', '.join(WORKLOADS)}")
    parser.add_argument("--clients", type=int, nargs="+", default=[], help="numbers of clients at a time")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"length of one measurement ({SECONDS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"measurements of each target, in turn ({ROUNDS})")
    parser.add_argument("--only", nargs="+", default=[], choices=TARGETS, help="measure only these targets")
    parser.add_argument("--beside", type=Path, metavar="PATH", help="compare the shop with that of another checkout")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the shop --beside")
    parser.add_argument("--save", action="store_true", help="save the results of a part as well")
    mongodb.add_option(parser, default=shops.fastest())

    def run(options: argparse.Namespace) -> int:
        if unknown := set(options.workloads) - set(WORKLOADS):
            parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
        if options.beside and options.save:
            parser.error("--save is for results of one version; --beside measures two")
        if bool(options.beside) < bool(options.set or BESIDE in options.only):
            parser.error("--set and --only beside need --beside; --beside . is this checkout once more")
        return bench(options)

    return run


def bench(options: argparse.Namespace) -> int:
    """Run what is asked for, print it, and save it where it is a whole run or that is asked for."""
    chosen = [WORKLOADS[name] for name in options.workloads] or list(WORKLOADS.values())
    steps = plan(chosen, lambda workload: targets_of(workload, options), options.clients, options.rounds)
    try:
        with ExitStack() as running:
            targets = _start({step.target for step in steps} | {SHOP}, options, running)
            known = {**facts.of(targets[SHOP], options.beside), "seconds": options.seconds, "rounds": options.rounds}
            points = _measure(steps, targets, options.seconds)
    except StackError as exc:
        print(exc)
        return 1
    found: dict[str, Any] = {**known, "points": points}
    print(f"\n{report.text(found)}")
    if options.save or is_whole(options):
        print("\n".join(f"-> {path}" for path in report.save(found)))
    return 0


def is_whole(options: argparse.Namespace) -> bool:
    """Return whether a run has all workloads, targets and rounds of the results in the repository."""
    part = options.workloads or options.clients or options.only or options.beside
    return not part and (options.seconds, options.rounds) == (SECONDS, ROUNDS)


def targets_of(workload: Workload, options: argparse.Namespace) -> list[str]:
    """Return what to measure a workload on: the shop and its rivals, or the two shops, or those that are named."""
    usual = [BESIDE, SHOP] if options.beside else [*workload.rivals, SHOP]
    more = [BESIDE, *workload.rivals, *([KEPT] if BASELINE in workload.rivals else []), SHOP]
    return [name for name in more if name in options.only] if options.only else usual


def plan(
    workloads: Sequence[Workload], targets: Callable[[Workload], list[str]], clients: Sequence[int], rounds: int
) -> list[Step]:
    """Return all steps: in a round each target once, in the next one in reverse, so that no order favours one."""
    return [
        Step(workload, number, turn, target)
        for workload in workloads
        for number in clients or workload.clients
        for turn in range(1, rounds + 1)
        for target in targets(workload)[:: 1 if turn % 2 else -1]
    ]


def _start(names: set[str], options: argparse.Namespace, running: ExitStack) -> dict[str, Target]:
    """Start the targets; a rival runs on the servers of the shop."""
    folder = running.enter_context(tempfile.TemporaryDirectory(prefix="shop-bench-", ignore_cleanup_errors=True))
    started: dict[str, Target] = {}
    for name in sorted(names, key=lambda name: name != SHOP):
        print(f"starting {name} ...", flush=True)
        if name in (SHOP, BESIDE):
            checkout, chosen = (ROOT, []) if name == SHOP else (options.beside.resolve(), options.set)
            settings = dict(setting.split("=", 1) for setting in chosen)
            shop = shops.running(name, checkout, Path(folder) / name, options.mongodb, settings)
            started[name] = running.enter_context(shop)
        else:
            started[name] = rivals.start(name, started[SHOP])
    return started


def _measure(steps: list[Step], targets: dict[str, Target], seconds: int) -> list[Point]:
    for target in targets.values():
        measure(target, WORKLOADS["orders-spread"], clients=8, seconds=1)  # to warm up
    points, began, pause = [], time.monotonic(), 0.0
    for number, step in enumerate(steps):
        per_step = (time.monotonic() - began) / number if number else seconds + 2
        minutes, left = divmod(round(per_step * (len(steps) - number)), 60)
        head = f"[{number + 1}/{len(steps)}, {minutes}:{left:02} left] {step.workload.name}, {step.clients} clients"
        print(f"{head}, round {step.round}, {step.target}: ", end="", flush=True)
        if step.workload.at_half_load and not pause:
            pause = _pause_for_half_load(targets[SHOP], step.clients, seconds)
        point = measure(
            targets[step.target],
            step.workload,
            clients=step.clients,
            seconds=seconds,
            pause=pause if step.workload.at_half_load else 0.0,
        )
        print(report.line(point), flush=True)
        names = {"workload": step.workload.name, "clients": step.clients, "target": step.target, "round": step.round}
        points.append(names | point)
    return points


def _pause_for_half_load(shop: Target, clients: int, seconds: int) -> float:
    """Return how long (ms) each client has to wait between two orders for half of the peak load."""
    peak = measure(shop, WORKLOADS["orders-spread"], clients=clients, seconds=seconds)
    return max(1.0, 2000 * clients / float(peak["throughput"]) - float(peak["p50"]) / 2)
