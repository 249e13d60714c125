"""./dev bench: what to measure on which targets, and in which order."""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tools.bench import environment, reference_apps, report, scale, targets
from tools.bench.measurement import Measurement, measure
from tools.bench.targets import BASELINE, BESIDE, EXTERNAL_SERVERS, FLOOR, SHOP, Target
from tools.bench.wrk import WORKLOADS, Workload
from tools.paths import ROOT
from tools.stack import mongodb

Step = tuple[Workload, int, int, str]  # workload, number of clients, round, target
PART = ("workloads", "clients", "seconds", "rounds", "only")  # a run without these options is complete, and is saved


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Measure the shop and a naive one. Without arguments, save the results in tools/bench/results."""
    names = f"some of {', '.join(WORKLOADS)}; or {scale.NAME}: what an order costs each part, with more replicas"
    parser.add_argument("workloads", nargs="*", default=[], metavar="WORKLOAD", help=names)
    parser.add_argument("--clients", type=int, nargs="+", default=[], help="numbers of concurrent clients")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (5)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each target, in turn (5)")
    parser.add_argument("--only", nargs="+", default=[], choices=targets.NAMES, help="measure only these targets")
    parser.add_argument("--beside", type=Path, metavar="PATH", help="a checkout whose shop is compared")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the compared shop")
    parser.add_argument("--save", action="store_true", help="save the results of a part as well")
    mongodb.add_option(parser, default=targets.fastest_mongodb())

    def run(options: argparse.Namespace) -> int:
        if scale.NAME in options.workloads:
            if len(options.workloads) > 1 or options.beside or options.only:
                parser.error(f"{scale.NAME} is measured alone, without --beside and --only")
            return scale.run(options)
        if unknown := set(options.workloads) - set(WORKLOADS):
            parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
        if (options.beside or options.set) and any(EXTERNAL_SERVERS.values()):
            parser.error("two shops need servers of their own: unset MONGO_URL, RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL")
        options.save |= all(getattr(options, name) == parser.get_default(name) for name in PART)
        return bench(options)

    return run


def bench(options: argparse.Namespace) -> int:
    """Measure, and print the report. Save it on request, unless the run compares two shops."""
    steps = plan(options)
    names = {SHOP, *(target for *_, target in steps)}
    checkouts = [ROOT, options.beside or ROOT] if BESIDE in names else [ROOT]
    with ExitStack() as exit_stack:
        started = _start(names, options, exit_stack)
        run = environment.describe(started[SHOP], options.mongodb, checkouts)
        run |= {"seconds": options.seconds, "rounds": options.rounds}
        run["measurements"] = _measure(steps, started, options.seconds)
    print(f"\n{report.text(run)}")
    if options.save and BESIDE not in names:
        print("\n".join(f"-> {path}" for path in report.save(run)))
    return 0


def plan(options: argparse.Namespace) -> list[Step]:
    """Return all steps. Every other round is in reverse order, so that the order favours no target."""
    return [
        (workload, clients, round_number, target)
        for workload in map(WORKLOADS.__getitem__, options.workloads or WORKLOADS)
        for clients in options.clients or workload.clients
        for round_number in range(1, options.rounds + 1)
        for target in _targets(workload, options)[:: 1 if round_number % 2 else -1]
    ]


def _targets(workload: Workload, options: argparse.Namespace) -> list[str]:
    """Return the targets of a workload: the named ones, two shops, or the shop and its reference app."""
    usual = [BESIDE, SHOP] if options.beside or options.set else [BASELINE, FLOOR, SHOP]
    return [name for name in (BESIDE, workload.reference, SHOP) if name in (options.only or usual)]


def _start(names: set[str], options: argparse.Namespace, exit_stack: ExitStack) -> dict[str, Target]:
    """Start the targets, the shop first: the reference apps use its servers."""
    folder = tempfile.TemporaryDirectory(prefix="shop-bench-", ignore_cleanup_errors=True)
    state = Path(exit_stack.enter_context(folder)).resolve()
    settings = dict(setting.split("=", 1) for setting in options.set)
    shops = {SHOP: (ROOT, {}), BESIDE: ((options.beside or ROOT).resolve(), settings)}
    started: dict[str, Target] = {}
    for name in sorted(names, key=lambda name: name != SHOP):
        print(f"starting {name} ...", flush=True)
        if name in shops:
            shop = targets.run_shop(name, state / name, options.mongodb, *shops[name])
            started[name] = exit_stack.enter_context(shop)
        else:
            started[name] = reference_apps.start(name, started[SHOP])
    return started


def _measure(steps: list[Step], started: dict[str, Target], seconds: int) -> list[Measurement]:
    for target in started.values():  # a warm-up
        measure(target, WORKLOADS["product" if target.name == FLOOR else "orders-spread"], clients=8, seconds=1)
    measurements: list[Measurement] = []
    pause = 0.0
    for number, (workload, clients, round_number, name) in enumerate(steps, 1):
        if workload.at_half_load:
            pause = pause or _pause_for_half_load(started[SHOP], clients, seconds)
        heading = f"[{number}/{len(steps)}] {workload.name}, {clients} clients, round {round_number}, {name}"
        print(heading, end=": ", flush=True)
        waiting = pause if workload.at_half_load else 0.0
        measurement = measure(started[name], workload, clients=clients, seconds=seconds, pause=waiting)
        print(report.line(measurement), flush=True)
        step = {"workload": workload.name, "clients": clients, "target": name, "round": round_number}
        measurements.append({**step, **measurement})
    return measurements


def _pause_for_half_load(shop: Target, clients: int, seconds: int) -> float:
    """Return how long (ms) each client has to wait between two orders for half of the peak load."""
    peak = measure(shop, WORKLOADS["orders-spread"], clients=clients, seconds=seconds)
    return max(1.0, 2000 * clients / float(peak["throughput"]) - float(peak["p50"]) / 2)
