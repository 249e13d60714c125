"""The breadth-first search that `./dev model` does in a specification, and what the specifications share."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Move = tuple[str, str, Any, Any]
"""An action, what happens in words, and the state and the process after it."""
Transition = tuple[str, str, Any]
"""An action, what happens in words, and the state after it."""


class Specification(Protocol):
    """The participants, what they may do, and what must hold in every state."""

    @property
    def never(self) -> frozenset[str]: ...  # the actions that never happen (to search less)
    def start(self) -> Any: ...
    def transitions(self, state: Any) -> Iterator[Transition]: ...
    def invariants(self, state: Any) -> dict[str, bool]: ...


class Process(Protocol):
    @property
    def who(self) -> str: ...
    @property
    def reply(self) -> int: ...  # with it a request ends


P = TypeVar("P", bound=Process)


def interleave(processes: tuple[P, ...], moves: Callable[[P], Iterable[Move]]) -> Iterator[Transition]:
    """Let each process move. Equal processes move once and are sorted: their identity is irrelevant."""
    for me in dict.fromkeys(processes):
        others = list(processes)
        others.remove(me)
        for action, what, after, then in moves(me):
            left = others if then.reply else sorted([*others, then])
            reply = f", replies {then.reply}" if then.reply > 0 else ""
            yield action, f"{me.who} {what}{reply}", after._replace(processes=tuple(left))


def search(model: Specification, only: str = "", limit: int = 10**9) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Visit all states breadth first; yield after each depth their number, a broken invariant, the way to it."""
    frontier: list[tuple[Any, tuple[str, ...]]] = [(model.start(), ())]
    seen = {hash(model.start())}  # among 20 million states two have the same hash with a probability of 1 : 90,000
    while frontier and len(seen) <= limit:
        nearer, frontier = frontier, []
        for state, way in nearer:
            for action, what, after in model.transitions(state):
                if action not in model.never and (key := hash(after)) not in seen:
                    seen.add(key)
                    frontier.append((after, (*way, f"{action}: {what}")))
                    broken = (name for name, holds in model.invariants(after).items() if not holds)
                    if name := next((name for name in broken if name in (only or name)), ""):
                        yield len(seen), name, frontier[-1][1]
                        return
        yield len(seen), "", ()
