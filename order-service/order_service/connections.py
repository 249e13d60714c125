"""Kept connections to a service that may run in several instances."""

import threading
import time
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse

MAX_AGE = 5.0  # s; a process has few connections: only many choices of the balancer spread its requests evenly


class RenewedConnections:
    """A pool of kept connections that is replaced every `max_age` seconds.

    A load balancer chooses an instance for each connection, not for each request. Connections that are never replaced
    would not reach an instance that was added later. Requests in progress finish on the old pool, whose connections
    close with the last of them.
    """

    def __init__(self, size: int, *, max_age: float = MAX_AGE, clock: Any = time) -> None:
        self._size = size
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        """Keep no connection of before: each may lead to an instance that is gone."""
        pool = urllib3.PoolManager(num_pools=1, maxsize=self._size, retries=False)
        with self._lock:
            self._pool, self._renew_at = pool, self._clock.monotonic() + self._max_age

    def request(self, method: str, url: str, **arguments: Any) -> BaseHTTPResponse:
        """Send a request, with the arguments of urllib3's `PoolManager.request`. Raises urllib3's HTTPError."""
        if self._clock.monotonic() >= self._renew_at:
            self.renew()
        return self._pool.request(method, url, **arguments)
