"""Group commit: items that wait for the same products share one transaction, as in the log of a database."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from pymongo.client_session import ClientSession

from chassis.errors import Unavailable
from product_service.store.transactions import Transactions

Item = TypeVar("Item")


@dataclass(eq=False)
class _Group(Generic[Item]):
    items: list[Item] = field(default_factory=list)
    written: Future[bool] = field(default_factory=Future)  # False: each thread must write its item alone


class GroupCommit(Generic[Item]):
    """Writes items in transactions. Items of this process with the same products share a transaction.

    The thread with the first item leads the group. While it waits for the lock of the products, others join. Then it
    writes all items with `write(items, session)`. If that fails, each thread writes its own item.
    """

    def __init__(self, transactions: Transactions, write: Callable[[Sequence[Item], ClientSession], None]) -> None:
        self._transactions = transactions
        self._write = write
        self._lock = threading.Lock()
        self._open_groups: dict[tuple[str, ...], _Group[Item]] = {}

    def commit(self, item: Item, *, product_ids: tuple[str, ...], deadline: float) -> None:
        """Write an item. Raises the error of its own write.

        Raises Unavailable at the deadline (monotonic): then the item may or may not be written.
        """
        with self._lock:
            group = self._open_groups.setdefault(product_ids, _Group())
            group.items.append(item)
            is_leader = len(group.items) == 1
        if is_leader:
            self._lead(group, product_ids, deadline)
        try:
            is_written = group.written.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError as exc:
            raise Unavailable("Too many orders want the same products at this moment. Repeat the request.") from exc
        if not is_written:
            self._transactions.run(partial(self._write, [item]), product_ids=product_ids, deadline=deadline)

    def _lead(self, group: _Group[Item], product_ids: tuple[str, ...], deadline: float) -> None:
        def write(session: ClientSession) -> None:
            self._close(group, product_ids)
            self._write(group.items, session)

        try:
            self._transactions.run(write, product_ids=product_ids, deadline=deadline)
        except BaseException:
            self._close(group, product_ids)
            if len(group.items) == 1:
                raise
            group.written.set_result(False)
        else:
            group.written.set_result(True)

    def _close(self, group: _Group[Item], product_ids: tuple[str, ...]) -> None:
        """Close the group: the next item starts a new group."""
        with self._lock:
            if self._open_groups.get(product_ids) is group:
                del self._open_groups[product_ids]
