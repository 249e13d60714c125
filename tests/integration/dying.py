"""Fault injection: processes of the services that die by SIGKILL right before or after a certain call.

The code under test does not know: the process wraps the method before it starts. A crash point is written
`before order_service.store:OrderStore.create`, or `after ...`.
"""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import forkserver
from typing import Any

import pytest

from chassis.auth.client_credentials import ClientCredentials
from chassis.auth.jwks import JwksClient
from order_service import app as order_app
from order_service.product_client import ProductClient
from product_service.store import Transactions

NOWHERE = ""
PatientClient = partial(ProductClient, call_deadline=60.0, attempt_timeout=60.0)

_context = multiprocessing.get_context("forkserver")
_IMPORTED = ["pytest", "tests.integration.order_processes", "product_service", "notification_service.consumer"]


def start_server() -> None:
    """Start the process that all others are forked from: it imports everything and opens no connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        _context.set_forkserver_preload(_IMPORTED)
        forkserver.ensure_running()


def run(work: Callable[..., None], *arguments: Any, point: str = NOWHERE) -> None:
    """Run a function in a new process, which must die at `point`, or succeed if there is none."""
    start(_run, work, arguments, point, dies=bool(point))


def start(work: Callable[..., None], *arguments: Any, dies: bool) -> None:
    """Run a function in a new process, which must kill itself, or succeed."""
    process = _context.Process(target=work, args=arguments)
    process.start()
    process.join(30)
    exitcode = process.exitcode
    if exitcode is None:
        process.kill()
        process.join(10)
    process.close()
    assert exitcode == (-signal.SIGKILL if dies else 0), f"the process ended with an unexpected exit code: {exitcode}"


def die_at(point: str) -> None:
    """Make this process kill itself at a crash point."""
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
    """Give this process long timeouts, so that it reaches its crash point on a busy machine too."""
    for patient in (JwksClient, ClientCredentials, Transactions):
        patient.__init__.__kwdefaults__["timeout"] = 30  # type: ignore[misc]
    order_app.ProductClient = PatientClient  # type: ignore[assignment,misc]


def _run(work: Callable[..., None], arguments: tuple[Any, ...], point: str) -> None:
    be_patient()
    if point:
        die_at(point)
    work(*arguments)
