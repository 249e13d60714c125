"""./dev audit: check every invariant on the running shop and print a report."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable

from tools.audit import snapshot
from tools.audit.invariants import Check, check_all
from tools.audit.snapshot import AuditError, ReadRecords
from tools.paths import STATE
from tools.stack.stack import Stack


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Check every promise on the running shop; exit code 1 on a violation, or with nothing to compare."""
    parser.add_argument("--compose", action="store_true", help="audit what docker compose runs, not ./dev up")
    parser.add_argument("--grace", type=float, default=60.0, help="seconds that a change may take (60)")
    return lambda options: main(Stack(STATE), in_compose=options.compose, grace=options.grace)


def main(stack: Stack, *, in_compose: bool, grace: float) -> int:
    """Audit, print the report, and return the exit code."""
    if not in_compose and not stack.is_running():
        print("The shop is not running. Start it with ./dev up", file=sys.stderr)
        return 2
    try:
        checks = check_twice(snapshot.compose_reader() if in_compose else snapshot.reader(stack), grace=grace)
    except AuditError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(report(checks))
    return 0 if passed(checks) else 1


def check_twice(read: ReadRecords, *, grace: float) -> list[Check]:
    """Check every invariant. A violation counts only if a second snapshot, a second later, shows it as well."""
    checks = check_once(read, grace=grace)
    if any(check.violations for check in checks):
        time.sleep(1)
        for check, again in zip(checks, check_once(read, grace=grace), strict=True):
            check.violations = {what: detail for what, detail in again.violations.items() if what in check.violations}
    return checks


def check_once(read: ReadRecords, *, grace: float) -> list[Check]:
    """Check every invariant on one snapshot, except for changes of the last `grace` seconds."""
    return check_all(snapshot.take(read, grace))


def report(checks: Iterable[Check]) -> str:
    """Return the table of invariants, with a line for each violation and each invariant with nothing to compare."""
    table, remarks = [f"{'promise':<24}{'what was compared':<66}{'compared':>9}{'violations':>12}"], []
    for check in checks:
        table.append(f"{check.invariant:<24}{check.compares:<66}{check.compared:>9}{len(check.violations):>12}")
        for what, detail in check.violations.items():
            remarks.append(f"VIOLATION of {check.invariant}: {what} {detail}".rstrip())
        if not (check.passed or check.violations):
            hint = "place an order, and wait a minute or use --grace 0"
            remarks.append(f"NOTHING TO COMPARE for {check.invariant}: {hint}")
    return "\n".join(table + remarks)


def passed(checks: Iterable[Check]) -> bool:
    """Return whether every invariant passed."""
    return all(check.passed for check in checks)
