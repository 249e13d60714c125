"""./dev chaos: a fresh stack, customers, faults, and at the end the audit."""

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import quantiles

from tools.audit import command as audit
from tools.audit import snapshot
from tools.audit.invariants import Check, check
from tools.audit.snapshot import Record
from tools.chaos.client_log import ClientLog
from tools.chaos.customers import Customer
from tools.chaos.faults import ACTIONS, TARGETS, Fault, FaultInjector, schedule
from tools.client import ShopClient
from tools.observe import alert_run
from tools.stack import mongodb, programs
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack

CUSTOMERS = 8
SECONDS_TO_SETTLE = 60.0
LEASE_SECONDS = 30  # a consumer that is killed while it sends blocks its notifications so long; default 60
# A tenth of all calls to the payment provider fail, and unpaid orders expire after 15 s, so that many do in a run.
PAYMENT = {"PAYMENT_PROVIDER": "simulated", "PAYMENT_FAULTS": "0.1", "PAYMENT_MINUTES": "0.25"}
SETTINGS = {"REGISTRATIONS_PER_MINUTE": "100000", "LEASE_SECONDS": str(LEASE_SECONDS), **PAYMENT}
# An easier run proves too little.
MIN_ORDERS_PER_SECOND, MIN_FAULTS_PER_MINUTE = 5.0, 10.0
MIN_PER_MINUTE = {"paid": 60, "declined": 10, "refunded": 10, "expired": 10}  # orders, by how their payment went
PLENTY = {f"plenty-{number}": 100_000 for number in range(6)}
STOCK = {"hot": 1_000_000, "scarce-1": 40, "scarce-2": 25, "scarce-3": 5, **PLENTY}


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Kill and freeze everything at random while customers order, then check every promise."""
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are injected (60)")
    parser.add_argument("--seed", type=int, default=1, help="repeats a schedule of faults (1)")
    parser.add_argument("--only", nargs="+", default=[], metavar="PROGRAM", help="spare all other programs")
    about = "instead, break one thing after the other, and compare the alerts with those that each must raise"
    parser.add_argument("--observe", action="store_true", help=about)
    mongodb.add_option(parser)
    return run_chosen


def run_chosen(options: argparse.Namespace) -> int:
    """Run what the options choose."""
    if options.observe:
        return alert_run.main(options.mongodb)
    return main(options.seconds, options.seed, options.only, options.mongodb)


def main(seconds: float, seed: int, only: list[str], server: str) -> int:
    """Run chaos and return 0 if every invariant held and the run was hard enough to count."""
    options = Options(settings=SETTINGS, mongodb=server)
    stack = Stack(Path(tempfile.mkdtemp(prefix="shop-chaos-")), free_ports(), options)
    print(f"chaos: {seconds:g} s, seed {seed}; the stack is under {stack.state}", flush=True)
    try:
        stack.up(stop_with_parent=True)
        passed = Run(stack, seconds, seed, only).execute()
    except BaseException:
        stack.down()
        raise
    if passed:
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
        self._only = only
        self._log = ClientLog()
        self._stop = threading.Event()
        self._injector = FaultInjector(stack, schedule(seed, seconds, only))
        products = self._create_products()
        self._customers = [self._create_customer(number, products, seed) for number in range(CUSTOMERS)]

    def execute(self) -> bool:
        """Run, print what happened, and return whether the run passed."""
        started = time.monotonic()
        for thread in (*self._customers, self._injector):
            thread.start()
        try:
            self._show_progress(started)
        finally:
            self._injector.stop.set()
            self._stop.set()
            self._injector.join()
        ended = time.monotonic()
        for customer in self._customers:
            customer.join()
        checks = self._wait_until_quiescent(ended)
        return self._report(checks, ended - started, time.monotonic() - ended)

    def _create_customer(self, number: int, products: list[str], seed: int) -> Customer:
        shop = ShopClient(self._stack.urls)
        shop.register(phone="+4930123456" if number % 2 else None)
        return Customer(shop, products, self._log, f"{seed}-{number}", self._stop)

    def _create_products(self) -> list[str]:
        """Create scarce and plentiful products, and a hot one that is ordered as often as all others together."""
        admin = ShopClient(self._stack.urls)
        admin.sign_in(programs.ADMIN_EMAIL, programs.ADMIN_PASSWORD)
        products = {}
        for name, units in STOCK.items():
            body = {"name": name, "price": "9.99", "stock": units}
            products[name] = admin.call("product-service", "POST", "/products", json=body).json()["id"]
        return [*products.values(), *[products["hot"]] * len(products)]

    def _show_progress(self, started: float) -> None:
        """Print the progress until the time is over and the last fault is injected. A fault may have to wait."""
        shown = 0
        while (elapsed := time.monotonic() - started) < self._seconds or self._waits_for_fault(elapsed):
            time.sleep(max(0.1, min(5.0, self._seconds - elapsed)))
            faults = self._injector.done[shown:]
            shown += len(faults)
            orders = len(self._log.orders)
            print(f"{time.monotonic() - started:6.0f} s {orders:6} orders  {'; '.join(map(str, faults))}", flush=True)

    def _waits_for_fault(self, elapsed: float) -> bool:
        return self._injector.is_alive() and elapsed < self._seconds + SECONDS_TO_SETTLE

    def _wait_until_quiescent(self, ended: float) -> list[Check]:
        """Repeat the audit until it passes or the time is over; return the last checks."""
        self._stack.wait_until_ready()
        while True:
            try:
                checks = audit.check_once(snapshot.reader(self._stack), grace=0)
            except snapshot.AuditError as exc:
                checks = [Check("audit", "records", 0, {str(exc)[-500:]: ""})]
            if audit.passed(checks) or time.monotonic() - ended > SECONDS_TO_SETTLE:
                return checks
            time.sleep(1)

    def _report(self, checks: list[Check], seconds: float, seconds_to_settle: float) -> bool:
        orders = snapshot.take(snapshot.reader(self._stack), 0).orders
        compares = "order as answered: placed, paid, cancelled; placed: was answered"
        checks = [*checks, check("what customers know", compares, self._log.compare(orders))]
        paid = payments(orders.values())
        print(audit.report(checks))
        print(f"\n{summary(self._log, self._injector.done, paid, seconds)}\nquiescent after {seconds_to_settle:.0f} s")
        failures = [*self._log.failures, *([] if self._only else self._weaknesses(paid, seconds))]
        for failure in failures:
            print(f"FAILURE: {failure}")
        passed = audit.passed(checks) and not failures
        print("Every promise held." if passed else "This run has failed.")
        return passed

    def _weaknesses(self, paid: Counter[str], seconds: float) -> list[str]:
        """Return why a run does not count: too few orders, payments or faults, or a target that was spared."""
        orders, faults = len(self._log.orders) / seconds, len(self._injector.done)
        injected = {(fault.target, fault.action) for fault in self._injector.done}
        spared = {(target, action) for target in TARGETS for action in ACTIONS} - injected
        return [
            *([f"only {orders:.1f} orders/s"] if orders < MIN_ORDERS_PER_SECOND else []),
            *([f"only {faults} faults"] if faults / seconds * 60 < MIN_FAULTS_PER_MINUTE else []),
            *(f"only {paid[how]} {how}" for how, least in MIN_PER_MINUTE.items() if paid[how] / seconds * 60 < least),
            *(f"no {action} of {target}" for target, action in sorted(spared)),
        ]


def payments(orders: Collection[Record]) -> Counter[str]:
    """Return how many orders are paid, declined at last, refunded, and expired, which means cancelled as unpaid."""
    statuses = Counter((order["payment"] or {}).get("status", "none") for order in orders)
    statuses["expired"] = sum(order["cancelled_by"] == "system" for order in orders)
    return statuses


def summary(log: ClientLog, faults: list[Fault], paid: Counter[str], seconds: float) -> str:
    """Return the figures of a run."""
    kinds = Counter(fault.action for fault in faults)
    orders = len(log.orders)
    p50, p99 = (quantiles(log.seconds, n=100)[i] * 1000 for i in (49, 98)) if orders > 1 else (0.0, 0.0)
    answers = ", ".join(f"{kind}: {count}" for kind, count in sorted(log.answers.items()))
    return (
        f"{orders} orders in {seconds:.0f} s ({orders / seconds:.1f}/s; p50 {p50:.0f} ms, p99 {p99:.0f} ms), "
        f"{kinds['kill']} kills, {kinds['freeze']} freezes, {kinds['restart']} restarts\n"
        f"orders by payment: {', '.join(f'{paid[how]} {how}' for how in MIN_PER_MINUTE)}\n{answers}"
    )
