"""./dev bench scale: what an order costs each part of the shop, with 1, 2 and 4 replicas of the stateless services.

It also measures how fast one worker and one consumer are alone. On one machine more replicas place hardly more orders:
they share its CPUs. But the costs per order show whether a part does more work per order as the others grow, and which
part reaches the limit of its one process first.
"""

import tempfile
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import psutil

from tools.bench import backlog, environment, report, targets, wrk
from tools.bench.measurement import Measurement, cpu_seconds, placed, settle
from tools.bench.targets import SHOP, Target
from tools.bench.wrk import WORKLOADS
from tools.paths import ROOT
from tools.stack import balancer, ports, replicas
from tools.stack.balancer import Balancer
from tools.stack.stack import Stack

NAME, FOLDER = "scale", report.RESULTS / "scale"
SCALED = ("order-service", "product-service")
REPLICAS, CLIENTS = (1, 2, 4), (32,)
ORDERS = WORKLOADS["orders-spread"]
BALANCERS = "balancers"
# The programs of the shop and its servers, and how the table calls them.
PARTS = {
    "order-service": "order-service",
    "product-service": "product-service",
    "order-worker": "worker",
    "notification-consumer": "consumer",
    "mongodb": "database",
    "rabbitmq": "broker",
    BALANCERS: BALANCERS,
}
COLUMNS = {
    "throughput": "orders/s",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "http_errors": "4xx/5xx",
    "socket_errors": "no answer",
    "busy": "CPUs busy %",
    **{f"cpu {part}": f"{title}, CPU ms" for part, title in PARTS.items()},
    "connections order-service": "order-service, connections",
    "connections product-service": "product-service, connections",
    "connections": "database, connections",
}


@dataclass(frozen=True)
class Scaled:
    """A shop behind balancers, and the ports of all replicas of each scaled service."""

    shop: Target
    stack: Stack
    balancers: dict[str, Balancer]
    ports: dict[str, list[int]]

    def use(self, number: int) -> None:
        """Send what comes from now on to so many replicas of each service."""
        for service, in_front in self.balancers.items():
            in_front.serve(self.ports[service][:number])
            in_front.drop()

    def pids(self, number: int) -> dict[str, list[int]]:
        """Return the processes of each part that are in use with so many replicas."""
        names = {part: [part, *(f"{part}-{n}" for n in range(2, number + 1) if part in SCALED)] for part in PARTS}
        pids = {part: self.shop.pids(*programs) for part, programs in names.items()}
        return {**pids, BALANCERS: [in_front.pid for in_front in self.balancers.values()]}


def run(options: Namespace) -> int:
    """Measure, and print the table. Save it on request."""
    with _start(options) as scaled:
        measured = environment.describe(scaled.shop, options.mongodb, [ROOT])
        measured |= {"seconds": options.seconds, "rounds": options.rounds, "settings": options.set}
        measured["measurements"] = list(_measure_all(scaled, options))
        measured["catching_up"] = list(_catch_up(scaled, options))
    print(f"\n{text(measured)}")
    if options.save:
        print("\n".join(f"-> {path}" for path in report.write(measured, text(measured), FOLDER)))
    return 0


@contextmanager
def _start(options: Namespace) -> Iterator[Scaled]:
    """Run a shop with all replicas, one process each, until the end of the block."""
    with ExitStack() as resources:
        folder = tempfile.TemporaryDirectory(prefix="shop-bench-", ignore_cleanup_errors=True)
        state = Path(resources.enter_context(folder)).resolve() / SHOP
        balancers = {name: resources.enter_context(balancer.running(ports.free_ports(1)[0])) for name in SCALED}
        settings = {"WEB_CONCURRENCY": "1", "PRODUCT_SERVICE_URL": balancers["product-service"].url}
        settings |= dict(setting.split("=", 1) for setting in options.set)
        print("starting the shop and its replicas ...", flush=True)
        shop = resources.enter_context(targets.run_shop(SHOP, state, options.mongodb, ROOT, settings))
        stack = Stack(state)
        numbers = {name: [int(shop.urls[name].rpartition(":")[2])] for name in SCALED}
        for name, number in ((name, number) for number in range(2, max(REPLICAS) + 1) for name in SCALED):
            numbers[name].append(resources.enter_context(replicas.running(stack, name, number)).port)
        urls = {**shop.urls, "order-service": balancers["order-service"].url}
        yield Scaled(replace(shop, urls=urls), stack, balancers, numbers)


def _measure_all(scaled: Scaled, options: Namespace) -> Iterator[Measurement]:
    """Yield the measurements. Every other round is in reverse order, so that other load favours no number."""
    for number in REPLICAS:  # a warm-up of each process
        measure(scaled, number, clients=8, seconds=1)
    for clients in options.clients or CLIENTS:
        for round_number in range(1, options.rounds + 1):
            for number in REPLICAS[:: 1 if round_number % 2 else -1]:
                measurement = measure(scaled, number, clients=clients, seconds=options.seconds)
                what = f"{number} replicas, {clients} clients, round {round_number}"
                print(f"{what}: {_line(measurement)}", flush=True)
                yield {"replicas": number, "clients": clients, "round": round_number, **measurement}


def _catch_up(scaled: Scaled, options: Namespace) -> Iterator[Measurement]:
    """Yield the speed of worker and consumer, with the orders that two replicas place."""
    scaled.use(2)
    for round_number in range(1, options.rounds + 1):
        speed = backlog.measure(scaled.shop, scaled.stack, clients=CLIENTS[0], seconds=options.seconds)
        print(f"catching up, round {round_number}: {_speed([speed])}", flush=True)
        yield {"round": round_number, **speed}


def measure(scaled: Scaled, number: int, *, clients: int, seconds: int) -> Measurement:
    """Place orders, and wait for all of their effects. CPU is in ms per order, latencies are in ms."""
    scaled.use(number)
    pids = scaled.pids(number)
    orders, cpu = placed(scaled.shop), {part: cpu_seconds(each) for part, each in pids.items()}
    psutil.cpu_percent()  # from now on
    measurement = wrk.run(ORDERS, scaled.shop, clients=clients, seconds=seconds, pause=0.0)
    measurement |= {"busy": psutil.cpu_percent(), **connections(scaled.shop, pids)}
    settle(scaled.shop)
    orders = max(1, placed(scaled.shop) - orders)
    measurement |= {f"cpu {part}": 1000 * (cpu_seconds(each) - cpu[part]) / orders for part, each in pids.items()}
    return {key: round(value, 3) for key, value in measurement.items()}


def connections(shop: Target, pids: dict[str, list[int]]) -> dict[str, int]:
    """Return how many connections to the database the scaled services have, and all parts together."""
    port = shop.mongodb.address[1] if shop.mongodb.address else 0
    clients = [each.pid for each in psutil.net_connections("tcp") if each.raddr and each.raddr.port == port]
    counts = {f"connections {name}": count(clients, pids[name]) for name in SCALED}
    return {**counts, "connections": count(clients, chain.from_iterable(pids.values()))}


def count(owners: Iterable[int | None], pids: Iterable[int]) -> int:
    """Return how many owners are among the pids."""
    wanted = set(pids)
    return sum(owner in wanted for owner in owners)


def text(run: dict[str, Any]) -> str:
    """Return what was measured, on what and how long, and the table."""
    settings = f" Settings: {', '.join(run['settings'])}." if run["settings"] else ""
    table = report.markdown(_rows(run["measurements"]))
    return f"{report.heading(run)}{settings}\n\n{table}\n\nCatching up alone: {_speed(run['catching_up'])}."


def _speed(measurements: list[Measurement]) -> str:
    """Return how fast the worker and the consumer are."""
    worker, consumer = (report.middle([each[name] for each in measurements]) for name in backlog.PROGRAMS)
    return f"one worker publishes {worker} events a second, one consumer stores and sends {consumer} e-mails a second"


def _rows(measurements: list[Measurement]) -> list[list[str]]:
    """Return the header, and a row per number of clients and of replicas."""
    key = itemgetter("clients", "replicas")
    groups = [(names, list(group)) for names, group in groupby(sorted(measurements, key=key), key)]
    rows = [
        [*map(str, names), *(report.middle([each[column] for each in group]) for column in COLUMNS)]
        for names, group in groups
    ]
    return [["clients", "replicas", *COLUMNS.values()], *rows]


def _line(measurement: Measurement) -> str:
    return ", ".join(f"{title} {report.number(measurement[key])}" for key, title in COLUMNS.items())
