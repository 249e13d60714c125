"""Running work in a transaction, within the time that a caller is ready to wait."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database

from chassis.mongo import Document

T = TypeVar("T")

TRANSACTION_SECONDS = 1.4  # a caller is promised an answer within 1.5 s
TURN_SECONDS = 0.7
STRIPES = 64


class Transactions:
    """Runs work in transactions, those of this process that touch the same products one after the other.

    The server would refuse all but one of them, and each would be tried again after a pause. Taking turns only spares
    these conflicts: what does not get its turn in time goes on without, as do the transactions of other processes,
    and the server keeps them apart.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._client = database.client
        self._turns = [threading.Lock() for _ in range(STRIPES)]

    def run(self, work: Callable[[ClientSession], T], *, touching: Iterable[str]) -> T:
        """Return what `work` returns, run again after a write conflict, within the time a reservation may take."""
        with pymongo.timeout(TRANSACTION_SECONDS), self._turn(touching), self._client.start_session() as session:
            return session.with_transaction(work)

    @contextmanager
    def _turn(self, product_ids: Iterable[str]) -> Iterator[None]:
        deadline = time.monotonic() + TURN_SECONDS
        with ExitStack() as turns:
            for stripe in sorted({hash(product_id) % STRIPES for product_id in product_ids}):
                if self._turns[stripe].acquire(timeout=max(0.0, deadline - time.monotonic())):
                    turns.callback(self._turns[stripe].release)
            yield
