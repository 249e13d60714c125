"""Group commit: what waits for the same products is written in one transaction, as a database writes its log."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from chassis.errors import Unavailable
from chassis.mongo import is_outage
from product_service.store.transactions import Transactions

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    result: Future[Result] = field(default_factory=Future)


class GroupCommit(Generic[Item, Result]):
    """Writes items in transactions, those of this process that touch the same products together.

    The first to come leads: it waits for its turn, and then writes what has joined it meanwhile. Items that cannot be
    written together are written one by one. `write` gets items and a session, and returns a result for each.
    """

    def __init__(
        self, transactions: Transactions, write: Callable[[Sequence[Item], ClientSession], Sequence[Result]]
    ) -> None:
        self._transactions = transactions
        self._write = write
        self._joining = threading.Lock()
        self._groups: dict[tuple[str, ...], list[_Waiting[Item, Result]]] = {}

    def commit(self, item: Item, *, touching: tuple[str, ...], within: float) -> Result:
        """Write an item, and return its result. Raises what writing it alone raises, and Unavailable after `within`
        seconds: whether it is written is unknown then.
        """
        waiting: _Waiting[Item, Result] = _Waiting(item)
        with self._joining:
            group = self._groups.setdefault(touching, [])
            group.append(waiting)
        if group[0] is waiting:
            self._lead(group, touching)
        try:
            return waiting.result.result(within)
        except TimeoutError as exc:
            raise Unavailable("Too many want the same products just now.") from exc

    def _lead(self, group: list[_Waiting[Item, Result]], touching: tuple[str, ...]) -> None:
        def write(session: ClientSession) -> Sequence[Result]:
            self._close(group, touching)
            return self._write([waiting.item for waiting in group], session)

        try:
            results = self._transactions.run(write, touching=touching)
        except Exception as exc:
            self._close(group, touching)
            apart = len(group) > 1 and not (isinstance(exc, PyMongoError) and is_outage(exc))
            for waiting in group:
                if apart:
                    self._lead([waiting], touching)
                else:
                    waiting.result.set_exception(exc)
        else:
            for waiting, result in zip(group, results, strict=True):
                waiting.result.set_result(result)

    def _close(self, group: list[_Waiting[Item, Result]], touching: tuple[str, ...]) -> None:
        with self._joining:
            if self._groups.get(touching) is group:
                del self._groups[touching]
