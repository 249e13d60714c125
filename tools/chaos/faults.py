"""Which process suffers what, and when: a schedule drawn from a seed, and its execution on a stack."""

import random
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools import processes
from tools.stack import Stack

WEB = ("product-service", "user-service", "order-service", "notification-service")
BACKGROUND = ("order-worker", "notification-consumer", "mongodb", "rabbitmq")
VICTIMS = tuple(f"{name}/{role}" for name in WEB for role in ("master", "worker")) + BACKGROUND
ACTIONS = ("kill", "freeze")


@dataclass(frozen=True)
class Fault:
    """What happens to a victim, `at` seconds after the start; a freeze or an outage lasts for `seconds`."""

    at: float
    victim: str
    action: str
    seconds: float = 0.0

    def __str__(self) -> str:
        length = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.action} {self.victim}{length}"


def schedule(seed: int, seconds: float, only: Iterable[str] = ()) -> list[Fault]:
    """Draw the faults of a run: every victim is killed and frozen at least once, if a minute or more is given.

    Freezes are shorter and longer than the time-outs of the services; some faults strike two at once.
    """
    rng = random.Random(seed)
    victims = [victim for victim in VICTIMS if not only or any(victim.startswith(name) for name in only)]
    pause = min(4.0, seconds / (len(victims) * len(ACTIONS) + 2))
    faults: list[Fault] = []
    at = pause
    for victim, action in _deck(rng, victims):
        if at >= seconds - pause:
            return faults
        faults.append(_fault(rng, at, victim, action))
        if rng.random() < 0.2:
            faults.append(_fault(rng, at, rng.choice(victims), rng.choice([*ACTIONS, "restart"])))
        at += pause * rng.uniform(0.6, 1.3)
    return faults


def _deck(rng: random.Random, victims: list[str]) -> Iterator[tuple[str, str]]:
    """Deal all pairs of victim and action, in ever new order; from the second round on restarts as well."""
    actions = list(ACTIONS)
    while True:
        cards = [(victim, action) for victim in victims for action in actions]
        rng.shuffle(cards)
        yield from cards
        actions = [*ACTIONS, "restart"]


def _fault(rng: random.Random, at: float, victim: str, action: str) -> Fault:
    seconds = rng.choice([rng.uniform(0.3, 1.2), rng.uniform(3.0, 7.0)]) if action == "freeze" else 0.0
    return Fault(round(at, 2), victim, action, round(seconds, 2))


class Saboteur(threading.Thread):
    """Executes a schedule on a stack; whatever it froze is thawed when it ends."""

    def __init__(self, stack: Stack, faults: list[Fault]) -> None:
        super().__init__(name="saboteur")
        self._stack = stack
        self._faults = faults
        self._thaws: list[tuple[float, list[int]]] = []
        self.done: list[Fault] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Strike at the scheduled times until the schedule ends or `stop` is set."""
        started = time.monotonic()
        waiting = list(self._faults)
        while (waiting or self._thaws) and not self.stop.is_set():
            now = time.monotonic()
            self._thaw(now)
            if waiting and now - started >= waiting[0].at and self._strike(waiting[0], now):
                waiting.pop(0)
            time.sleep(0.02)
        self._thaw(float("inf"))

    def _strike(self, fault: Fault, now: float) -> bool:
        """Do it; False if the victim is still down from an earlier fault, and must be waited for."""
        pids = self._pids(fault.victim)
        if not pids:
            return False
        number = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "restart": signal.SIGTERM}[fault.action]
        processes.send(pids, number)
        if fault.action == "freeze":
            self._thaws.append((now + fault.seconds, pids))
        self.done.append(fault)
        return True

    def _thaw(self, now: float) -> None:
        for when, pids in [thaw for thaw in self._thaws if thaw[0] <= now]:
            processes.send(pids, signal.SIGCONT)
            self._thaws.remove((when, pids))

    def _pids(self, victim: str) -> list[int]:
        name, _, role = victim.partition("/")
        pids = self._stack.pids(name)
        return pids[1:2] if role == "worker" else pids[:1]
