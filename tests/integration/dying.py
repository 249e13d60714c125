"""Processes of the services that really die, by SIGKILL, right before or after a given call of their own.

The code under test knows nothing of it: the process wraps the method before it starts. A point is written
`before order_service.store:OrderStore.insert`, or `after ...`.
"""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any

import pytest

from chassis.auth.client_credentials import ClientCredentials
from chassis.auth.jwks import JwksClient
from order_service import products
from product_service.store import Transactions

NOWHERE = ""

_context = multiprocessing.get_context("forkserver")
_IMPORTED = ["pytest", "tests.integration.order_processes", "product_service", "notification_service.consumer"]


def start_server() -> None:
    """Start the process that all others are forked from: it has imported everything and opened nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        _context.set_forkserver_preload(_IMPORTED)
        forkserver.ensure_running()


def run(work: Callable[..., None], *arguments: Any, point: str = NOWHERE) -> None:
    """Run a function of a module in a process of its own, which is to die at `point`, or to end well without one."""
    start(_run, work, arguments, point, dies=bool(point))


def start(work: Callable[..., None], *arguments: Any, dies: bool) -> None:
    """Run a function in a process of its own, which is to be killed by itself, or to end well."""
    process = _context.Process(target=work, args=arguments)
    process.start()
    process.join(30)
    exitcode = process.exitcode
    if exitcode is None:
        process.kill()
        process.join(10)
    process.close()
    assert exitcode == (-signal.SIGKILL if dies else 0), f"the process did not end as it should: {exitcode}"


def die_at(point: str) -> None:
    """Make this process die at a point."""
    when, _, place_of = point.partition(" ")
    module, _, path = place_of.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)


def be_patient() -> None:
    """Let this process wait long for others, so that a busy machine leads it to its point and not to an outage."""
    for patient in (JwksClient, ClientCredentials, Transactions):
        patient.__init__.__kwdefaults__["timeout"] = 30  # type: ignore[misc]
    products.BUDGET = products.ATTEMPT = 60


def _run(work: Callable[..., None], arguments: tuple[Any, ...], point: str) -> None:
    be_patient()
    if point:
        die_at(point)
    work(*arguments)
