"""Faults, and the alerts that each of them must raise: `./dev chaos --observe` and the tests run this table.

To add an alert to deploy/monitoring, add the fault here that raises it, if a fault of a program can.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from tools.observe.mail_server import MailServer
from tools.paths import ROOT
from tools.services import BACKGROUND, SERVICES
from tools.stack.stack import Stack


@dataclass(frozen=True)
class Scene:
    """What a fault can break: the programs of a stack, and the mail server."""

    stack: Stack
    mail: MailServer


@dataclass(frozen=True)
class Fault:
    """Something that breaks during a block; the alerts it must raise, and those that also follow if it lasts."""

    name: str
    during: Callable[[Scene], AbstractContextManager[object]]
    raises: frozenset[str] = frozenset()
    may_raise: frozenset[str] = frozenset()


@contextmanager
def _down(scene: Scene, program: str) -> Iterator[None]:
    scene.stack.suspend(program)
    try:
        yield
    finally:
        scene.stack.resume(program)


@contextmanager
def _frozen(scene: Scene, program: str) -> Iterator[None]:
    scene.stack.kill(program, signal.SIGSTOP)
    try:
        yield
    finally:
        scene.stack.kill(program, signal.SIGCONT)


@contextmanager
def _mail_refused(scene: Scene) -> Iterator[None]:
    """Refuse all mail. Afterwards replay the dead letters, as an operator does."""
    scene.mail.refuses = True
    try:
        yield
    finally:
        scene.mail.refuses = False
        replay = [sys.executable, "-m", "notification_service.dead_letters", "replay"]
        environment = scene.stack.environment("notification-consumer")
        subprocess.run(replay, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)


def _program_down(program: str, *raises: str, may_raise: tuple[str, ...] = ()) -> Fault:
    def during(scene: Scene) -> AbstractContextManager[object]:
        return _down(scene, program)

    return Fault(f"{program} does not run", during, frozenset(raises), frozenset(may_raise))


BUDGET = tuple(f"OrderErrorBudgetBurn{{long_window={window}}}" for window in ("1h", "6h", "1d", "3d"))
OTHER_PROGRAMS = {*(service.name for service in SERVICES), *BACKGROUND} - {"order-service"}
OTHER_DATABASES = tuple(f"DatabaseUnavailable{{job={program}}}" for program in sorted(OTHER_PROGRAMS))
HANGING = tuple(f"ProductServiceHanging{{job={program}}}" for program in ("order-service", "order-worker"))
INTERRUPTED = ("OrdersUndone", "StrayReservations")  # orders that were given up between reservation and write
CONSUMERS_MISSING = "ConsumersMissing{queue=notifications}"
HEALTHY = Fault("nothing", lambda _: nullcontext())
FAULTS = (
    _program_down("order-worker", "ServiceDown{job=order-worker}"),
    _program_down(
        "notification-consumer",
        "ServiceDown{job=notification-consumer}",
        CONSUMERS_MISSING,
    ),
    _program_down("user-service", "ServiceDown{job=user-service}"),
    # The consumer's backoff, before it connects again, is not shortened.
    _program_down("rabbitmq", *("ServiceDown{job=rabbitmq}", "OutboxStuck"), may_raise=(CONSUMERS_MISSING,)),
    Fault("the mail server refuses all mail", _mail_refused, frozenset({"DeadLetters{queue=notifications.dead}"})),
    Fault(
        "product-service hangs",
        lambda scene: _frozen(scene, "product-service"),
        frozenset({"ServiceDown{job=product-service}", "ProductServiceHanging{job=order-service}", *BUDGET}),
        frozenset({*HANGING, "OrdersSlow", *INTERRUPTED}),
    ),
    # product-service then answers 503, or late, so that order-service treats it as if it hung.
    _program_down(
        "mongodb",
        *("DatabaseUnavailable{job=order-service}", *BUDGET),
        may_raise=(*OTHER_DATABASES, *HANGING, *INTERRUPTED, "OrdersSlow"),
    ),
)
