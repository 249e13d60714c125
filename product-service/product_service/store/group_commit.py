"""Group commit: what waits for the same products is written in one transaction, as a database writes its log."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from pymongo.client_session import ClientSession

from chassis.errors import Unavailable
from product_service.store.transactions import Transactions

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    result: Future[Result] = field(default_factory=Future)


class _Apart(Exception):
    """The group could not be written together."""


class GroupCommit(Generic[Item, Result]):
    """Writes items in transactions, those of this process that touch the same products together.

    The first to come leads: it waits for its turn, and then writes what has joined it meanwhile. If that fails, each
    item is written alone, by its own thread and in its own time. `write` gets items and a session, and returns a result
    for each.
    """

    def __init__(
        self, transactions: Transactions, write: Callable[[Sequence[Item], ClientSession], Sequence[Result]]
    ) -> None:
        self._transactions = transactions
        self._write = write
        self._joining = threading.Lock()
        self._groups: dict[tuple[str, ...], list[_Waiting[Item, Result]]] = {}

    def commit(self, item: Item, *, touching: tuple[str, ...], until: float) -> Result:
        """Write an item, and return its result. Raises what writing it alone raises, and Unavailable if the time
        (monotonic) has come before: whether it is written is unknown then.
        """
        waiting: _Waiting[Item, Result] = _Waiting(item)
        with self._joining:
            group = self._groups.setdefault(touching, [])
            group.append(waiting)
        if group[0] is waiting:
            self._lead(group, touching, until)
        try:
            return waiting.result.result(max(0.0, until - time.monotonic()))
        except _Apart:
            write = partial(self._write, [item])
            return self._transactions.run(write, touching=touching, until=until)[0]
        except FutureTimeout as exc:
            raise Unavailable("Too many want the same products just now.") from exc

    def _lead(self, group: list[_Waiting[Item, Result]], touching: tuple[str, ...], until: float) -> None:
        def write(session: ClientSession) -> Sequence[Result]:
            self._close(group, touching)
            return self._write([waiting.item for waiting in group], session)

        try:
            results = self._transactions.run(write, touching=touching, until=until)
        except BaseException as exc:
            self._close(group, touching)
            for waiting in group:
                waiting.result.set_exception(exc if len(group) == 1 else _Apart())
        else:
            for waiting, result in zip(group, results, strict=True):
                waiting.result.set_result(result)

    def _close(self, group: list[_Waiting[Item, Result]], touching: tuple[str, ...]) -> None:
        with self._joining:
            if self._groups.get(touching) is group:
                del self._groups[touching]
