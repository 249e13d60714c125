"""./dev order: print everything that is known about one order."""

import argparse
import sys
from collections.abc import Callable
from functools import cache, partial

from tools.audit import snapshot
from tools.audit.snapshot import AuditError
from tools.order import log_lines, recent_events, screen
from tools.order.case import Case, Sources
from tools.paths import STATE
from tools.stack.stack import Stack


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Print everything about one order: what the services store, its events, and the log lines of its requests."""
    parser.add_argument("id", help="the order's id, as the API shows it")
    parser.add_argument("--compose", action="store_true", help="of docker compose, not of ./dev up")
    return lambda options: main(Stack(STATE), options.id, in_compose=options.compose)


def main(stack: Stack, order_id: str, *, in_compose: bool) -> int:
    """Print the screen of an order, personal data included, and return the exit code."""
    if not in_compose and not stack.is_running():
        print("The shop is not running. Start it with ./dev up", file=sys.stderr)
        return 2
    try:
        case = Case.collect(order_id, of_compose() if in_compose else of_stack(stack))
    except AuditError as exc:
        print(exc, file=sys.stderr)
        return 2
    if not case.is_known:
        print(f"There is no order {order_id!r}. GET /orders lists the ids, for an administrator all.", file=sys.stderr)
        return 1
    print("\n".join(screen.lines(case)))
    return 0


def of_stack(stack: Stack) -> Sources:
    """Return where a stack on this machine keeps what is known."""
    return Sources(
        records=partial(snapshot.reader, stack),
        broker=lambda: recent_events.of_stack(stack),
        log=lambda: log_lines.of_files(stack.state / "logs"),
    )


def of_compose() -> Sources:
    """Return where docker compose keeps what is known."""
    return Sources(snapshot.compose_reader, recent_events.of_compose, log=cache(log_lines.of_compose))
