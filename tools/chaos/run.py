"""./dev chaos: a fresh stack, customers, faults, and at the end the audit."""

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from tools import audit, mongodb, programs
from tools.blueprint import Options, free_ports
from tools.chaos.customers import Customer, Ledger
from tools.chaos.faults import Fault, Saboteur, schedule
from tools.client import Shop
from tools.promises import Check
from tools.stack import Stack

CUSTOMERS = 8
SECONDS_TO_REST = 60.0
LEASE_SECONDS = 30  # a consumer that is killed while it sends leaves claims for so long; by default 60
LEAST_ORDERS_PER_SECOND, LEAST_FAULTS_PER_MINUTE = 5.0, 10.0
STOCK = {"hot": 1_000_000, "scarce-1": 40, "scarce-2": 25, "scarce-3": 5}
PLENTY = 6


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Kill and freeze everything at random while customers order, then check every promise."""
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are made (60)")
    parser.add_argument("--seed", type=int, default=1, help="repeats a schedule of faults (1)")
    parser.add_argument("--only", nargs="+", default=[], metavar="PROGRAM", help="harm only these programs")
    mongodb.add_option(parser)
    return lambda options: main(options.seconds, options.seed, options.only, options.mongodb)


def main(seconds: float, seed: int, only: list[str], server: str) -> int:
    """Run chaos and return 0 if every promise held, and the run was hard enough to count."""
    options = Options(
        settings={"REGISTRATIONS_PER_MINUTE": "100000", "LEASE_SECONDS": str(LEASE_SECONDS)}, mongodb=server
    )
    stack = Stack(Path(tempfile.mkdtemp(prefix="shop-chaos-")), free_ports(), options)
    print(f"chaos: {seconds:g} s, seed {seed}; the stack is under {stack.state}", flush=True)
    try:
        stack.up(owned=True)
        sound = Run(stack, seconds, seed, only).execute()
    except BaseException:
        stack.down()
        raise
    if sound:
        stack.destroy()
        return 0
    stack.down()
    print(f"The logs and data of this run are kept: {stack.state}")
    return 1


class Run:
    """One run on a stack that is up."""

    def __init__(self, stack: Stack, seconds: float, seed: int, only: list[str]) -> None:
        self._stack = stack
        self._seconds = seconds
        self._ledger = Ledger()
        self._stop = threading.Event()
        self._saboteur = Saboteur(stack, schedule(seed, seconds, only))
        self._only = only
        self._customers = self._make_customers(seed)

    def execute(self) -> bool:
        """Run, print what happened, and tell whether it was sound."""
        started = time.monotonic()
        threads: list[threading.Thread] = [*self._customers, self._saboteur]
        for thread in threads:
            thread.start()
        try:
            self._watch(started)
        finally:
            self._saboteur.stop.set()
            self._stop.set()
            self._saboteur.join()
        ended = time.monotonic()
        for customer in self._customers:
            customer.join()
        checks, rest = self._come_to_rest(ended)
        return self._report(checks, ended - started, rest)

    def _make_customers(self, seed: int) -> list[Customer]:
        products = self._make_products()
        customers = []
        for number in range(CUSTOMERS):
            shop = Shop(self._stack.urls)
            shop.register(phone="+4930123456" if number % 2 else None)
            customers.append(Customer(shop, products, self._ledger, f"{seed}-{number}", self._stop))
        return customers

    def _make_products(self) -> list[str]:
        """Make scarce products, plentiful ones, and a hot one, which is drawn as often as all others together."""
        admin = Shop(self._stack.urls)
        admin.sign_in(programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD)
        stock = {**STOCK, **{f"plenty-{number}": 100_000 for number in range(PLENTY)}}
        products = {}
        for name, units in stock.items():
            body = {"name": name, "price": "9.99", "stock": units}
            products[name] = admin.call("product-service", "POST", "/products", json=body).json()["id"]
        return [*products.values(), *[products["hot"]] * len(products)]

    def _watch(self, started: float) -> None:
        """Show what happens until the time is over, and the last fault done, which may have to wait."""
        shown = 0
        while (elapsed := time.monotonic() - started) < self._seconds or self._is_late(elapsed):
            time.sleep(max(0.1, min(5.0, self._seconds - elapsed)))
            new = self._saboteur.done[shown:]
            shown += len(new)
            placed = len(self._ledger.orders)
            print(f"{time.monotonic() - started:6.0f} s {placed:6} orders  {'; '.join(map(str, new))}", flush=True)

    def _is_late(self, elapsed: float) -> bool:
        return self._saboteur.is_alive() and elapsed < self._seconds + SECONDS_TO_REST

    def _come_to_rest(self, ended: float) -> tuple[list[Check], float]:
        """Audit until nothing is wrong or in motion, or it took too long; return the last checks and the seconds."""
        self._stack.wait_until_ready()
        while True:
            try:
                checks = audit.look(audit.facts_of(self._stack), 0.0)
            except audit.AuditError as exc:
                checks = [Check("audit", "facts", 0, {str(exc)[-500:]: ""})]
            seconds = time.monotonic() - ended
            if audit.passed(checks) or seconds > SECONDS_TO_REST:
                return checks, seconds
            time.sleep(1)

    def _report(self, checks: list[Check], seconds: float, rest: float) -> bool:
        facts = audit.facts_of(self._stack)("order-service")
        told = self._told_check({fact["id"]: fact["status"] for fact in facts if fact["kind"] == "order"})
        checks = [*checks, told]
        print(audit.report(checks))
        weak = [] if self._only else self._too_weak(seconds)
        print(f"\n{summary(self._ledger, self._saboteur.done, seconds)}\nat rest after {rest:.0f} s")
        for complaint in [*self._ledger.complaints, *weak]:
            print(f"COMPLAINT: {complaint}")
        sound = audit.passed(checks) and not self._ledger.complaints and not weak
        print("Every promise held." if sound else "This run is not sound.")
        return sound

    def _told_check(self, statuses: dict[str, str]) -> Check:
        """Compare what customers were told with the orders that there are."""
        check = Check("what customers know", "answered 201: exists; placed: was answered 201")
        for order_id in self._ledger.orders:
            expected = ("confirmed", "cancelled") if order_id in self._ledger.cancelled else ("confirmed",)
            check.expect(statuses.get(order_id) in expected, f"order {order_id}: {statuses.get(order_id)}")
        for order_id, status in statuses.items():
            known = status in ("failed", "rejected") or order_id in self._ledger.orders
            check.expect(known, f"order {order_id}: {status}, but nobody was told")
        return check

    def _too_weak(self, seconds: float) -> list[str]:
        """Return why a run does not count: too few orders or faults, or a victim that was spared."""
        weak = []
        if len(self._ledger.orders) / seconds < LEAST_ORDERS_PER_SECOND:
            weak.append(f"only {len(self._ledger.orders) / seconds:.1f} orders/s")
        if len(self._saboteur.done) / seconds * 60 < LEAST_FAULTS_PER_MINUTE:
            weak.append(f"only {len(self._saboteur.done)} faults")
        planned = {(fault.victim, fault.action) for fault in schedule(0, 3600) if fault.action != "restart"}
        spared = planned - {(fault.victim, fault.action) for fault in self._saboteur.done}
        return weak + [f"never {action}: {victim}" for victim, action in sorted(spared)]


def summary(ledger: Ledger, faults: list[Fault], seconds: float) -> str:
    """Return the figures of a run."""
    kinds = Counter(fault.action for fault in faults)
    orders = len(ledger.orders)
    p50, p99 = (quantiles(ledger.seconds, n=100)[i] * 1000 for i in (49, 98)) if orders > 1 else (0.0, 0.0)
    answers = ", ".join(f"{kind}: {count}" for kind, count in sorted(ledger.answers.items()))
    return (
        f"{orders} orders in {seconds:.0f} s ({orders / seconds:.1f}/s; p50 {p50:.0f} ms, p99 {p99:.0f} ms), "
        f"{kinds['kill']} kills, {kinds['freeze']} freezes, {kinds['restart']} restarts\n{answers}"
    )
