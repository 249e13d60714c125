"""The database server's clock."""

import threading
import time
from datetime import UTC, datetime

from pymongo.database import Database
from pymongo.errors import PyMongoError

from chassis.mongo.client import Document
from chassis.mongo.outages import problem_of


class DatabaseClock:
    """A clock on which all processes agree, even if the clocks of their machines are wrong.

    One thread at a time measures the offset to the monotonic clock, every `refresh` seconds. In an outage the last
    offset stays in use.
    """

    def __init__(self, database: Database[Document], *, refresh: float = 30.0) -> None:
        self._admin = database.client.admin
        self._refresh = refresh
        self._measuring = threading.Lock()
        self._measured_at = float("-inf")
        self._offset: float | None = None

    def __call__(self) -> datetime:
        """Return the server's time now, aware UTC, in whole milliseconds. Raises Unavailable while it is unknown."""
        if time.monotonic() - self._measured_at > self._refresh and self._measuring.acquire(blocking=False):
            try:
                self._measure()
            finally:
                self._measuring.release()
        offset = self._offset if self._offset is not None else self._measure()
        return datetime.fromtimestamp(int((time.monotonic() + offset) * 1000) / 1000, UTC)

    def _measure(self) -> float:
        started = time.monotonic()
        try:
            server_time: datetime = self._admin.command("hello")["localTime"]
            self._offset = server_time.timestamp() - (started + time.monotonic()) / 2
        except PyMongoError as exc:
            if self._offset is None:
                raise problem_of(exc) from exc
        self._measured_at = time.monotonic()
        return self._offset
