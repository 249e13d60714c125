"""Stopping politely under load: what was accepted is answered, and nothing is lost or handled twice.

A connection that is refused was never accepted: nobody listened for a moment. And orders may be told that
product-service is away while it is the one that stops. A reload (SIGHUP) leaves no such moment.
"""

import os
import signal
from collections.abc import Callable

from tests.e2e.clients import Client, stock_of
from tests.e2e.load import CUSTOMERS, Load, at_rest
from tests.waiting import until
from tools.stack.stack import Stack

WEB = ("product-service", "user-service", "order-service", "notification-service")


def stop_politely(stack: Stack, name: str) -> None:
    master = stack.pids(name)[0]
    os.kill(master, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{master}"), f"{name} has stopped", seconds=30)
    stack.wait_until_ready()


def test_what_was_accepted_is_answered_when_one_program_after_the_other_is_stopped_and_started(
    stack: Stack, customer: Client, product: Callable[[int], str]
) -> None:
    pots = [product(100_000) for _ in range(CUSTOMERS)]
    load = Load(customer, pots)
    with load.running():
        for name in (*WEB, "order-worker", "notification-consumer"):
            before = len(load.orders)
            until(lambda before=before: len(load.orders) > before + 10, "orders go on")
            load.without_products = name == "product-service"
            stop_politely(stack, name)
            assert not load.broken, f"{name}: " + "\n".join(load.broken)
    assert not load.broken, "\n".join(load.broken)
    assert sum(stock_of(customer, pot) for pot in pots) == CUSTOMERS * 100_000 - len(load.orders)
    until(lambda: at_rest(stack), "every promise holds", seconds=60)


def test_a_rolling_reload_of_everything_refuses_nobody(
    stack: Stack, customer: Client, product: Callable[[int], str]
) -> None:
    pots = [product(100_000) for _ in range(CUSTOMERS)]
    load = Load(customer, pots)
    with load.running():
        for name in WEB:
            old = stack.pids(name)[1:]
            os.kill(stack.pids(name)[0], signal.SIGHUP)
            until(lambda old=old, name=name: not set(old) & set(stack.pids(name)), f"{name} has new workers")
    assert not load.broken, "\n".join(load.broken)
    assert load.answers["refused"] == 0
    assert sum(stock_of(customer, pot) for pot in pots) == CUSTOMERS * 100_000 - len(load.orders)
    until(lambda: at_rest(stack), "every promise holds", seconds=60)
