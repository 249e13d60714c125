"""Transactions within a time limit, retried after write conflicts."""

import math
import random
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from chassis.mongo import Document
from product_service import metrics
from product_service.store.abandoned_transactions import AbandonedTransactions
from product_service.store.striped_lock import StripedLock

T = TypeVar("T")

TRANSACTION_TIMEOUT = 1.4  # s; a caller is promised an answer within 1.5 s
LOCK_WAIT = 0.7  # s; half of the timeout is left for a transaction that goes on without its lock
MAX_BACKOFF = 0.02  # s; the driver's backoff grows to 0.5 s: a process that lost once would lose again and again
WRITE_CONFLICT = 112  # the server's error code


class Transactions:
    """Runs work in transactions. In this process, those with the same products run one after the other.

    The server would refuse all but one of them with a write conflict. A striped lock prevents most of these conflicts.
    It is not needed for correctness: the server isolates the transactions, also those of other processes.
    """

    def __init__(
        self, database: Database[Document], *, timeout: float = TRANSACTION_TIMEOUT, lock_wait: float = LOCK_WAIT
    ) -> None:
        self.timeout = timeout
        self.lock_wait = lock_wait
        self._abandoned = AbandonedTransactions(database)
        self._product_locks = StripedLock()

    def run(self, work: Callable[[ClientSession], T], *, product_ids: Iterable[str], deadline: float = math.inf) -> T:
        """Run `work`, which must be safe to repeat, in a transaction; return its result within the timeout.

        The wait for the locks of the products ends at the deadline (monotonic) at the latest.
        """
        lock_deadline = min(time.monotonic() + self.lock_wait, deadline)
        with (
            self._abandoned.session() as session,
            pymongo.timeout(self.timeout),
            self._product_locks.hold(product_ids, lock_deadline),
        ):
            return _retry_write_conflicts(work, session)


class _WriteConflict(Exception):
    """Another transaction has just changed the same product. Safe to repeat."""


def _retry_write_conflicts(work: Callable[[ClientSession], T], session: ClientSession) -> T:
    """Run `work` in a transaction; after a write conflict retry it with a short random backoff."""

    def attempt(session: ClientSession) -> T:
        try:
            return work(session)
        except OperationFailure as exc:
            if exc.code == WRITE_CONFLICT:
                raise _WriteConflict from exc  # hides it from the driver, whose own retry waits longer
            raise

    while True:
        try:
            return session.with_transaction(attempt)
        except _WriteConflict:
            metrics.RETRIES.inc()
            time.sleep(MAX_BACKOFF * random.random())  # noqa: S311 (no secret)  # nosec B311
