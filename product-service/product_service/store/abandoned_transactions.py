"""Abandoned transactions: still open on the server, with their products locked, although no client will end them.

A transaction is abandoned if its time runs out, or its connection breaks, before the server gets the abort.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from chassis.mongo import Document, is_outage

SLOW = 0.5  # s; a transaction that failed after this may have had no time left for its abort
SERVER_LIMIT = 60.0  # s; MongoDB's transactionLifetimeLimitSeconds by default: then the server ends it anyway
PAUSE = 0.2  # s between two attempts to reach the server

log = logging.getLogger(__name__)


class AbandonedTransactions:
    """Lends sessions, and ends the transactions that their users could not end.

    A background thread begins a newer transaction in the same session. The server then aborts the older one and refuses
    its late statements, such as those that a frozen server finds in its socket when it continues.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._client = database.client
        self._products = database.products
        self._sessions: SimpleQueue[tuple[float, ClientSession]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def session(self) -> Iterator[ClientSession]:
        """Lend a session. If its transaction may still be open afterwards, end it in the background."""
        started, may_be_open = time.monotonic(), False
        # SecantusDB does not know the read concern of a bulk write in a causally consistent session.
        session = self._client.start_session(causal_consistency=False)
        try:
            yield session
        except Exception as exc:
            may_be_open = time.monotonic() > started + SLOW or (isinstance(exc, PyMongoError) and is_outage(exc))
            raise
        finally:
            if may_be_open:
                self._end_later(session)
            else:
                session.end_session()

    def _end_later(self, session: ClientSession) -> None:
        self._sessions.put((time.monotonic(), session))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="abandoned-transactions", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            since, session = self._sessions.get()
            try:
                while not self._supersede(session) and time.monotonic() < since + SERVER_LIMIT:
                    time.sleep(PAUSE)
                session.end_session()
            except Exception:  # the thread must go on
                log.exception("abandoned transaction not ended; its products stay locked until the server ends it")

    def _supersede(self, session: ClientSession) -> bool:
        try:
            with session.start_transaction():
                self._products.find_one({"_id": ""}, session=session)
        except PyMongoError:
            return False
        return True
