"""Running work in a transaction, within the time that a caller is ready to wait."""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from chassis.mongo import Document, is_outage

T = TypeVar("T")

TRANSACTION_SECONDS = 1.4  # a caller is promised an answer within 1.5 s
TURN_SECONDS = 0.7
WRITE_CONFLICT = 112  # the server's error code
LONGEST_PAUSE = 0.02
STRIPES = 64
SLOW_SECONDS = 0.5
SERVER_LIMIT_SECONDS = 60.0  # MongoDB's transactionLifetimeLimitSeconds, unless set lower
PAUSE_SECONDS = 0.2

log = logging.getLogger(__name__)


class Transactions:
    """Runs work in transactions, those of this process that touch the same products one after the other.

    The server would refuse all but one of them, and each would be tried again after a pause. Taking turns only spares
    these conflicts: what does not get its turn in time goes on without, as do the transactions of other processes,
    and the server keeps them apart.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._client = database.client
        self._turns = [threading.Lock() for _ in range(STRIPES)]
        self._unfinished = _Unfinished(database)

    def run(self, work: Callable[[ClientSession], T], *, touching: Iterable[str], until: float = math.inf) -> T:
        """Return what `work` returns, run again after a write conflict, within the time a reservation may take.

        It waits for its turn until the time (monotonic) has come at the latest.
        """
        # Not causally consistent: SecantusDB does not know the read concern that a bulk write then has.
        session, started, unfinished = self._client.start_session(causal_consistency=False), time.monotonic(), False
        try:
            with pymongo.timeout(TRANSACTION_SECONDS), self._turn(touching, until):
                return _run(work, session)
        except Exception as exc:  # one that was slow may have had no time left to be aborted
            slow = time.monotonic() > started + SLOW_SECONDS
            unfinished = slow or (isinstance(exc, PyMongoError) and is_outage(exc))
            raise
        finally:
            if unfinished:
                self._unfinished.add(session)
            else:
                session.end_session()

    @contextmanager
    def _turn(self, product_ids: Iterable[str], until: float) -> Iterator[None]:
        deadline = min(time.monotonic() + TURN_SECONDS, until)
        with ExitStack() as turns:
            for stripe in sorted({hash(product_id) % STRIPES for product_id in product_ids}):
                if self._turns[stripe].acquire(timeout=max(0.0, deadline - time.monotonic())):
                    turns.callback(self._turns[stripe].release)
            yield


def _run(work: Callable[[ClientSession], T], session: ClientSession) -> T:
    """Return what `work` returns, run again soon after a write conflict.

    The driver's own pauses grow to half a second: of two processes the one that has won goes on winning.
    """

    def attempt(session: ClientSession) -> T:
        try:
            return work(session)
        except OperationFailure as exc:
            if exc.code == WRITE_CONFLICT:
                raise _Collided from exc
            raise

    while True:
        try:
            return session.with_transaction(attempt)
        except _Collided:
            time.sleep(LONGEST_PAUSE * random.random())  # noqa: S311 (no secret)  # nosec B311


class _Collided(Exception):
    """Another transaction has just changed the same product. Safe to run again."""


class _Unfinished:
    """Ends the transactions that ran out of time: no time was left to tell the server, which keeps products locked.

    It begins a newer transaction in the same session, by a thread of its own. The server then aborts the older one
    and refuses what may still arrive of it, as statements that a frozen server finds in its socket when it thaws.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._products = database.products
        self._sessions: SimpleQueue[tuple[float, ClientSession]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, session: ClientSession) -> None:
        """Take over a session whose transaction may still be open; returns at once."""
        self._sessions.put((time.monotonic(), session))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="unfinished", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            since, session = self._sessions.get()
            try:
                while not self._supersede(session) and time.monotonic() < since + SERVER_LIMIT_SECONDS:
                    time.sleep(PAUSE_SECONDS)
                session.end_session()
            except Exception:  # this thread must not end; the server's own limit ends the transaction
                log.exception("an unfinished transaction could not be ended")

    def _supersede(self, session: ClientSession) -> bool:
        try:
            with session.start_transaction():
                self._products.find_one({"_id": ""}, session=session)
        except PyMongoError:
            return False
        return True
