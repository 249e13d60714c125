"""./dev audit: compare what the services know of themselves, promise by promise.

Each service prints facts about its own database (`python -m product_service.audit` and so on); this reads no database.
What changed less than `grace` seconds ago is left out: it may still be in motion. A violation counts only if it shows
in two looks one after the other.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from tools.paths import ROOT, STATE
from tools.promises import PROMISES, Check, Fact, Facts
from tools.stack import Stack

Read = Callable[[str], list[Fact]]

PACKAGES = {  # the program in whose environment a service's facts are to be had
    "user-service": "user_service",
    "notification-consumer": "notification_service",
    "order-service": "order_service",
    "product-service": "product_service",
}


class AuditError(Exception):
    """A service could not tell its facts; the message is its own."""


def collect(read: Read) -> list[Fact]:
    """Return the facts of all services; those of product-service last, since what they record comes first."""
    return [fact for program in PACKAGES for fact in read(program)]


def audit(read: Read, *, grace: float) -> list[Check]:
    """Check every promise. A violation counts if it shows in each of two looks."""
    checks = look(read, grace)
    if any(check.violations for check in checks):
        time.sleep(1)
        for check, again in zip(checks, look(read, grace), strict=True):
            check.violations = {what: detail for what, detail in again.violations.items() if what in check.violations}
    return checks


def look(read: Read, grace: float) -> list[Check]:
    """Check every promise once."""
    facts = Facts(collect(read), grace)
    return [check(facts) for check in PROMISES]


def report(checks: Iterable[Check]) -> str:
    """Return the table of promises, with every violation named below, and every promise with nothing to compare."""
    checks = list(checks)
    rows = [f"{c.promise:<24}{c.compares:<66}{c.compared:>9}{len(c.violations):>12}" for c in checks]
    named = [
        f"VIOLATION of {c.promise}: {what} {detail}".rstrip() for c in checks for what, detail in c.violations.items()
    ]
    empty = [
        f"NOTHING TO COMPARE for {c.promise}: place an order, and wait a minute or take --grace 0"
        for c in checks
        if not (c.passed or c.violations)
    ]
    title = f"{'promise':<24}{'what was compared':<66}{'compared':>9}{'violations':>12}"
    return "\n".join([title, *rows, *named, *empty])


def passed(checks: Iterable[Check]) -> bool:
    """Tell whether something was compared for every promise, and no violation was found."""
    return all(check.passed for check in checks)


def facts_of(stack: Stack) -> Read:
    """Return how to ask the services of a stack on this machine."""

    def read(program: str) -> list[Fact]:
        environment = {**stack.environment(program), "LOG_LEVEL": "ERROR"}
        return run([sys.executable, "-m", f"{PACKAGES[program]}.audit"], environment)

    return read


def facts_in_compose(program: str) -> list[Fact]:
    """Ask a service that runs under docker compose."""
    return run(["docker", "compose", "exec", "-T", program, "python", "-m", f"{PACKAGES[program]}.audit"], None)


def run(command: list[str], environment: Mapping[str, str] | None) -> list[Fact]:
    """Run an audit command of a service and return its facts. Raises AuditError."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise AuditError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Check every promise on the running system; exit code 1 on a violation, or with nothing to compare."""
    parser.add_argument("--compose", action="store_true", help="audit what docker compose runs, not ./dev up")
    parser.add_argument("--grace", type=float, default=60.0, help="seconds that a change may take (60)")
    return lambda options: main(in_compose=options.compose, grace=options.grace)


def main(*, in_compose: bool, grace: float) -> int:
    """Audit, print the table, and return the exit code."""
    stack = Stack(STATE)
    if not in_compose and not stack.is_running():
        print("Nothing is running: ./dev up", file=sys.stderr)
        return 2
    try:
        checks = audit(facts_in_compose if in_compose else facts_of(stack), grace=grace)
    except AuditError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(report(checks))
    return 0 if passed(checks) else 1
