"""Breadth-first search through all states of a saga, which finds a shortest way to a broken invariant."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.model.invariants import Invariants
from tests.model.saga import Saga
from tests.model.state import State


@dataclass
class Result:
    """What a search has seen; `violated` is the name of the broken invariant and `trace` the way to it."""

    states: int = 1
    depth: int = 0
    seconds: float = 0
    complete: bool = False
    taken: Counter[str] = field(default_factory=Counter)  # how often each action was taken
    violated: str = ""
    trace: list[str] = field(default_factory=list)


def search(
    saga: Saga, only: str = "", limit: int = 10**9, progress: Callable[[Result], None] = lambda _: None
) -> Result:
    """Visit all states, or stop at the first violation (of only that invariant, if one is named) or beyond the limit.

    Of a seen state only its 64-bit hash is kept, and that of its predecessor: among 20 million states two have the same
    hash with a probability of 1 : 90,000, and then a state would be missed, never a violation invented.
    """
    began, result, invariants = time.monotonic(), Result(), Invariants(saga, only)
    frontier = [saga.start()]
    before = {hash(frontier[0]): 0}
    while frontier and not result.violated and len(before) <= limit:
        frontier = _next(saga, frontier, before, result, invariants)
        result.states, result.depth, result.seconds = len(before), result.depth + 1, time.monotonic() - began
        progress(result)
    result.complete = not frontier
    return result


def _next(
    saga: Saga, frontier: list[State], before: dict[int, int], result: Result, invariants: Invariants
) -> list[State]:
    """Return the states that one more transition leads to."""
    found = []
    for state in frontier:
        origin = hash(state)
        for action, _, after in saga.transitions(state):
            result.taken[action] += 1
            key = hash(after)
            if key in before:
                continue
            before[key] = origin
            found.append(after)
            if violated := invariants.violated(after):
                result.violated, result.trace = violated, _trace(saga, before, key)
                return found
    return found


def _trace(saga: Saga, before: dict[int, int], key: int) -> list[str]:
    """Return what happened on the way to a state, by going it again."""
    keys = [key]
    while before[keys[-1]]:
        keys.append(before[keys[-1]])
    state, trace = saga.start(), []
    for step in reversed(keys[:-1]):
        action, what, state = next(t for t in saga.transitions(state) if hash(t[2]) == step)
        trace.append(f"{action}: {what}")
    return trace
