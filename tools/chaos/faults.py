"""Fault injection: a schedule drawn from a seed, and its execution on a stack."""

import random
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psutil

from tools.services import SERVICES
from tools.stack import processes
from tools.stack.stack import Stack

WEB = tuple(f"{service.name}/{role}" for service in SERVICES for role in ("master", "worker"))
TARGETS = (*WEB, *(name for service in SERVICES for name in service.background), "mongodb", "rabbitmq")
ACTIONS = ("kill", "freeze")
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "restart": signal.SIGTERM}


@dataclass(frozen=True)
class Fault:
    """An action on a target, `at` seconds after the start; a freeze lasts for `seconds`."""

    at: float
    target: str
    action: str
    seconds: float = 0.0

    def __str__(self) -> str:
        duration = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.action} {self.target}{duration}"


def schedule(seed: int, seconds: float, only: Iterable[str] = ()) -> list[Fault]:
    """Draw the faults of a run. In a minute or more, every target is killed and frozen at least once.

    Freezes are shorter or longer than the timeouts of the services; some faults hit two targets at once.
    """
    rng = random.Random(seed)
    targets = [target for target in TARGETS if not only or target.startswith(tuple(only))]
    pause = min(4.0, seconds / (len(targets) * len(ACTIONS) + 2))
    faults: list[Fault] = []
    at = pause
    for target, action in _pairs(rng, targets):
        if at >= seconds - pause:
            return faults
        faults.append(_fault(rng, at, target, action))
        if rng.random() < 0.2:
            faults.append(_fault(rng, at, rng.choice(targets), rng.choice([*ACTIONS, "restart"])))
        at += pause * rng.uniform(0.6, 1.3)
    return faults


def _pairs(rng: random.Random, targets: list[str]) -> Iterator[tuple[str, str]]:
    """Yield all pairs of target and action, in a new order each round; later rounds have restarts as well."""
    actions = list(ACTIONS)
    while True:
        pairs = [(target, action) for target in targets for action in actions]
        rng.shuffle(pairs)
        yield from pairs
        actions = [*ACTIONS, "restart"]


def _fault(rng: random.Random, at: float, target: str, action: str) -> Fault:
    seconds = rng.choice([rng.uniform(0.3, 1.2), rng.uniform(3.0, 7.0)]) if action == "freeze" else 0.0
    return Fault(round(at, 2), target, action, round(seconds, 2))


class FaultInjector(threading.Thread):
    """Injects the faults of a schedule into a stack; at the end it resumes all frozen processes."""

    def __init__(self, stack: Stack, faults: list[Fault]) -> None:
        super().__init__(name="fault-injector")
        self._stack = stack
        self._faults = faults
        self._frozen: list[tuple[float, list[psutil.Process]]] = []  # the end of the freeze, and its processes
        self.done: list[Fault] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Inject the faults at their times until the schedule ends or `stop` is set."""
        started = time.monotonic()
        waiting = list(self._faults)
        while (waiting or self._frozen) and not self.stop.is_set():
            now = time.monotonic()
            self._resume(now)
            if waiting and now - started >= waiting[0].at and self._inject(waiting[0], now):
                waiting.pop(0)
            time.sleep(0.02)
        self._resume(float("inf"))

    def _inject(self, fault: Fault, now: float) -> bool:
        """Inject a fault; return False if the target is still down from an earlier fault."""
        name, _, role = fault.target.partition("/")
        target = self._stack.processes(name)[1:2] if role == "worker" else self._stack.processes(name)[:1]
        if not target:
            return False
        processes.send(target, SIGNALS[fault.action])
        if fault.action == "freeze":
            self._frozen.append((now + fault.seconds, target))
        self.done.append(fault)
        return True

    def _resume(self, now: float) -> None:
        for until, frozen in [entry for entry in self._frozen if entry[0] <= now]:
            processes.send(frozen, signal.SIGCONT)
            self._frozen.remove((until, frozen))
