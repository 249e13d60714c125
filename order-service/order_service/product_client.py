"""The client of product-service: reserves stock, releases it, lists reservations.

Every call is safe to repeat: product-service answers a repeat from its record. `ProductClient._call` combines the
deadline, the retries, the bulkhead and the circuit breaker of `order_service.resilience`.

The client uses urllib3. The package requests, which builds on urllib3, would double the CPU time of a call.
"""

import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse, Timeout

from chassis.auth.client_credentials import ClientCredentials
from chassis.errors import Misconfigured, Unavailable
from chassis.logs import request_id
from chassis.telemetry import outgoing
from order_service import metrics
from order_service.connections import RenewedConnections
from order_service.model import Item, ReservationResult
from order_service.product_replies import (
    ProductServiceMisconfigured,
    ProductServiceUnavailable,
    expect,
    read_page,
    read_reservation,
    read_stock,
)
from order_service.resilience import AttemptFailed, Bulkhead, BulkheadFull, CircuitBreaker, Deadline, Retries

PRODUCTS, RESERVATIONS, RESERVATION = "/products", "/reservations", "/reservations/{order_id}"
PRODUCT_SERVICE = "product-service"
CALL_DEADLINE = 4.0  # s for a call, with its retries and the wait for the bulkhead
ATTEMPT_TIMEOUT = 2.0  # s; product-service answers a reservation within 1.5 s
MIN_ATTEMPT = 1.0  # s; no attempt begins with less time left: a DNS lookup, which no timeout limits, may take a second
SLOW_CALL = 1.0  # s; an answer that takes longer is a sign of a hanging product-service
BACKOFF = (0.05, 0.5)  # s; the first delay between attempts, and the longest
BULKHEAD_WAIT, OPEN_CIRCUIT_WAIT = 1.0, 0.01  # s; while the circuit is open, a full bulkhead refuses at once


class ProductClient:
    """Calls product-service with a service token, over pooled connections. `pool` is its name among the metrics."""

    def __init__(
        self,
        url: str,
        token: ClientCredentials,
        *,
        max_concurrent: int,
        pool: str = PRODUCT_SERVICE,
        call_deadline: float = CALL_DEADLINE,
        attempt_timeout: float = ATTEMPT_TIMEOUT,
        clock: Any = time,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._call_deadline = call_deadline
        self._attempt_timeout = attempt_timeout
        self._clock = clock
        self._bulkhead = Bulkhead(max_concurrent, pool)
        on_change = metrics.CIRCUIT_OPEN[PRODUCT_SERVICE].set
        self._circuit_breaker = CircuitBreaker(slow_call=SLOW_CALL, clock=clock, on_change=on_change)
        self._retries = Retries(patience=call_deadline, min_attempt=MIN_ATTEMPT, backoff=BACKOFF, clock=clock)
        self._pool = RenewedConnections(max_concurrent + 2, clock=clock)

    def reserve(self, order_id: str, items: tuple[Item, ...]) -> ReservationResult:
        """Take the stock of all items, or of none. Raises ProductServiceUnavailable."""
        lines = {"lines": [vars(item) for item in items]}
        return read_reservation(self._call("PUT", RESERVATION, self._call_deadline, order_id=order_id, json=lines))

    def release(self, order_id: str) -> None:
        """Release the stock of an order; a repeat changes nothing. Raises ProductServiceUnavailable."""
        expect(self._call("DELETE", RESERVATION, self._attempt_timeout, order_id=order_id), 204)

    def reservations(self, *, older_than: float, cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
        """Return (order id, state) of reservations at least `older_than` s old, oldest first, and the next cursor."""
        query = {"older_than": str(older_than), "limit": "100"} | ({"cursor": cursor} if cursor else {})
        return read_page(self._call("GET", RESERVATIONS, self._call_deadline, fields=query))

    def stock_of(self, product_ids: Sequence[str]) -> dict[str, int]:
        """Return the stock of those of at most 50 products that are for sale. Raises ProductServiceUnavailable."""
        return read_stock(self._call("GET", PRODUCTS, self._call_deadline, fields={"ids": ",".join(product_ids)}))

    def check(self) -> None:
        """Return if product-service accepts this service. Raises ProductServiceUnavailable, Misconfigured.

        While user-service gives no token, this checks only that product-service lives.
        """
        try:
            expect(self._pool.request("GET", f"{self._url}/health", timeout=0.5), 200)
            try:
                self._token()
            except Unavailable:
                return
            expect(self._send("GET", RESERVATIONS, Deadline(1.0, self._clock), 0, fields={"limit": "1"}), 200)
        except urllib3.exceptions.HTTPError as exc:
            raise ProductServiceUnavailable(f"{self._url} does not answer: {type(exc).__name__}.") from exc

    def _call(self, method: str, path: str, seconds: float, **arguments: Any) -> BaseHTTPResponse:
        """Send a request until it is answered or its deadline has come. Raises ProductServiceUnavailable."""
        started, deadline, numbers = self._clock.monotonic(), Deadline(seconds, self._clock), count()
        wait = OPEN_CIRCUIT_WAIT if self._circuit_breaker.is_open else BULKHEAD_WAIT
        try:
            with self._bulkhead.enter(wait=wait):
                return self._retries.run(
                    lambda: self._attempt(method, path, deadline, next(numbers), **arguments), deadline
                )
        except BulkheadFull as exc:
            self._measure("full", started)
            raise ProductServiceUnavailable("Too many orders are waiting for product-service.") from exc
        except AttemptFailed as exc:
            raise ProductServiceUnavailable(str(exc)) from exc

    def _attempt(self, method: str, path: str, deadline: Deadline, number: int, **arguments: Any) -> BaseHTTPResponse:
        """Send a request once, and let the circuit breaker know how it went. Raises AttemptFailed, Misconfigured."""
        started = self._clock.monotonic()
        try:
            response = self._send(method, path, deadline, number, **arguments)
        except ProductServiceMisconfigured:
            self._measure("error", started)
            raise
        except Misconfigured:
            raise
        except Unavailable as exc:  # user-service gave no token in time, for example just after its start
            raise AttemptFailed(exc.detail) from exc
        except urllib3.exceptions.HTTPError as exc:
            raise self._unanswered(exc, started) from exc
        if response.status >= 500:
            self._circuit_breaker.record_failure(started)
            self._measure("error", started)
            raise AttemptFailed(f"product-service answered {response.status}.")
        self._circuit_breaker.record_answer(started)
        self._measure("answered", started)
        return response

    def _unanswered(self, exc: urllib3.exceptions.HTTPError, started: float) -> AttemptFailed:
        """Record an attempt without an answer. To urllib3 a refused connection is a timeout, too."""
        refused = urllib3.exceptions.NewConnectionError
        is_late = isinstance(exc, urllib3.exceptions.TimeoutError) and not isinstance(exc, refused)
        self._pool.renew()
        if is_late:
            self._circuit_breaker.record_failure(started)
        else:
            self._circuit_breaker.record_broken_connection()
        self._measure("timeout" if is_late else "broken", started)
        what = "product-service does not answer" if is_late else "The connection to product-service failed"
        return AttemptFailed(f"{what}: {type(exc).__name__}.")

    def _measure(self, outcome: str, started: float) -> None:
        metrics.PRODUCT_SERVICE_CALLS[outcome].observe(self._clock.monotonic() - started)

    def _send(
        self, method: str, path: str, deadline: Deadline, number: int, *, order_id: str = "", **arguments: Any
    ) -> BaseHTTPResponse:
        """Send a request; if its token is refused, send it again with a new one: the signing key may be revoked."""
        url = self._url + path.format(order_id=order_id)
        for _ in range(2):
            token = self._token()
            headers = {"Authorization": f"Bearer {token}", "X-Request-ID": request_id.get() or "worker"}
            left = max(0.1, min(self._attempt_timeout, deadline.remaining()))
            timeout = Timeout(connect=0.2 * left, read=0.8 * left)  # 1.6 s for the answer, which may take 1.5 s
            with outgoing.request(method, url, path, resend_count=number) as sent:
                headers |= sent.headers
                response = self._pool.request(method, url, headers=headers, timeout=timeout, **arguments)
                sent.answered(response.status)
            if response.status != 401:
                return response
            self._token.invalidate(token)
        raise ProductServiceMisconfigured(
            "product-service accepts no token of user-service (401). Check JWT_ISSUER, JWT_AUDIENCE and its JWKS_URL."
        )
