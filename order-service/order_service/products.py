"""The client of product-service: reserving stock, giving it back, and listing reservations.

A reservation may be repeated, product-service answers it from its record. A call spends at most `BUDGET` seconds,
repeats and the wait for a slot included; so it bridges a restart of product-service. Once calls have failed for longer
than that, each tries only once, so that an outage is told promptly.

At most `slots` threads may be inside a call: while product-service hangs, is slow or fails, the others refuse at once,
so that threads are left for requests that do not need it. A call that fares badly while others are answered well, as
one for a product that everybody wants may, is no sign of that.

It uses urllib3, on which requests builds: requests itself would double the CPU time of a call.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse, Timeout

from chassis.auth.client_credentials import ClientCredentials
from chassis.errors import Misconfigured, Unavailable
from chassis.logs import request_id
from order_service.model import Answer, Item, Line, Refusal, Reservation

BUDGET = 4.0
ATTEMPT = 2.0
SLOW = 1.0
LEAST_ATTEMPT = 1.0  # not begun with less time left: looking up a name may take a second, which no time-out bounds
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5

_REFUSING = (403, 404, 405)  # never product-service's answer to a service that has its role
_NOT_RESERVED = {  # by the problem's type
    "insufficient-stock": Answer.REFUSED,
    "unknown-product": Answer.REFUSED,
    "reservation-differs": Answer.DIFFERS,
    "reservation-released": Answer.RELEASED,
}


class ProductsUnavailable(Unavailable):
    """Product-service does not answer in time; whether it took the stock is not known. Safe to repeat."""

    code, title = "product-service-unavailable", "Product Service Unavailable"


class ProductsRefuse(Misconfigured, ProductsUnavailable):
    """Product-service does not let this service in, or it is another server. Safe to repeat when that is corrected."""


class ProductClient:
    """Calls product-service with a service token, over connections that are kept."""

    def __init__(self, url: str, token: ClientCredentials, *, slots: int) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._slots = threading.BoundedSemaphore(slots)
        self._hanging = False
        self._answered_at = float("-inf")
        self._failing_since: float | None = None
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=slots + 2, retries=False)

    def reserve(self, order_id: str, items: tuple[Item, ...]) -> Reservation:
        """Take the stock of all items, or of none, and return the answer. Raises ProductsUnavailable."""
        body = {"lines": [vars(item) for item in items]}
        response = self._call("PUT", f"/reservations/{order_id}", BUDGET, json=body)
        if response.status in (409, 422):
            return _not_reserved(response)
        if response.status == 200:
            return _reserved(Answer.FOUND, response)
        return _reserved(Answer.TAKEN, _expect(response, 201))

    def release(self, order_id: str) -> None:
        """Give the stock of an order back; once, however often this is called. Raises ProductsUnavailable."""
        _expect(self._call("DELETE", f"/reservations/{order_id}", ATTEMPT), 204)

    def reservations(self, *, older_than: float, cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
        """Return (order id, state) of reservations at least `older_than` s old, oldest first, and the next cursor."""
        parameters = {"older_than": str(older_than), "limit": "100"} | ({"cursor": cursor} if cursor else {})
        response = _expect(self._call("GET", "/reservations", BUDGET, fields=parameters), 200)
        with _understood():
            page = response.json()
            return [(item["order_id"], item["state"]) for item in page["items"]], page["next_cursor"]

    def check(self) -> None:
        """Return if product-service lets this service in. Raises ProductsUnavailable, Misconfigured.

        Without a token only whether it lives is asked: that user-service is away is another thing.
        """
        try:
            _expect(self._pool.request("GET", f"{self._url}/health", timeout=0.5), 200)
            try:
                self._token()
            except Unavailable:
                return
            _expect(self._send("GET", "/reservations", time.monotonic() + 1, fields={"limit": "1"}), 200)
        except urllib3.exceptions.HTTPError as exc:
            raise ProductsUnavailable(f"{self._url} does not answer: {type(exc).__name__}.") from exc

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Hold one of the slots; wait for it only while product-service answers."""
        if not self._slots.acquire(timeout=0.01 if self._hanging else 1.0):
            raise ProductsUnavailable("Too many orders are waiting for product-service.")
        try:
            yield
        finally:
            self._slots.release()

    def _call(self, method: str, path: str, budget: float, **arguments: Any) -> BaseHTTPResponse:
        """Send a request that is safe to repeat, until it is answered or the budget (s) is spent."""
        deadline = time.monotonic() + budget
        with self._slot():
            return self._repeat(method, path, deadline, **arguments)

    def _repeat(self, method: str, path: str, deadline: float, **arguments: Any) -> BaseHTTPResponse:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            response, failure = self._try(method, path, deadline, **arguments)
            if response is not None:
                self._failing_since = None
                return response
            self._failing_since = self._failing_since or started
            is_patient = started - self._failing_since < BUDGET
            if not is_patient or time.monotonic() + pause + LEAST_ATTEMPT >= deadline:
                raise ProductsUnavailable(f"product-service does not answer: {failure}.")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, method: str, path: str, deadline: float, **arguments: Any) -> tuple[BaseHTTPResponse | None, str]:
        """Send a request once; return the answer, or why there is none that counts. Raises Misconfigured."""
        started = time.monotonic()
        try:
            response = self._send(method, path, deadline, **arguments)
        except Misconfigured:
            raise
        except Unavailable as exc:  # user-service did not answer in time for a token, as it may just after a start
            return None, exc.detail
        except urllib3.exceptions.TimeoutError as exc:
            self._note(started, well=False)
            return None, type(exc).__name__
        except urllib3.exceptions.HTTPError as exc:
            self._hanging = False
            return None, type(exc).__name__
        self._note(started, well=response.status < 500 and time.monotonic() - started <= SLOW)
        if response.status >= 500:
            return None, f"status {response.status}"
        return response, ""

    def _note(self, started: float, *, well: bool) -> None:
        """Note how a call fared: product-service hangs if no other was answered well meanwhile."""
        if well:
            self._answered_at, self._hanging = time.monotonic(), False
        elif self._answered_at < started:
            self._hanging = True

    def _send(self, method: str, path: str, deadline: float, **arguments: Any) -> BaseHTTPResponse:
        """Send a request; one whose token is refused, as after the revocation of its key, once more with a new one."""
        for _ in range(2):
            token = self._token()
            headers = {"Authorization": f"Bearer {token}", "X-Request-ID": request_id.get() or "worker"}
            left = max(0.1, min(ATTEMPT, deadline - time.monotonic()))
            timeout = Timeout(connect=0.2 * left, read=0.8 * left)
            response = self._pool.request(method, self._url + path, headers=headers, timeout=timeout, **arguments)
            if response.status != 401:
                return response
            self._token.invalidate(token)
        raise ProductsRefuse(
            "product-service accepts no token of user-service (401). Check JWT_ISSUER, JWT_AUDIENCE and its JWKS_URL."
        )


def _expect(response: BaseHTTPResponse, status: int) -> BaseHTTPResponse:
    if response.status in _REFUSING:
        raise ProductsRefuse(f"product-service answers {response.status}. Check PRODUCT_SERVICE_URL and CLIENT_ID.")
    if response.status != status:
        raise ProductsUnavailable(f"product-service answered {response.status} instead of {status}.")
    return response


@contextmanager
def _understood() -> Iterator[None]:
    """Treat an answer that is not of the agreed form like none."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProductsUnavailable("product-service answered something else than agreed.") from exc


def _reserved(answer: Answer, response: BaseHTTPResponse) -> Reservation:
    with _understood():
        body = response.json()
        return Reservation(answer, tuple(_line(line) for line in body["lines"]), str(body["currency"]))


def _line(line: dict[str, Any]) -> Line:
    whole, cents = str(line["unit_price"]).split(".")
    return Line(str(line["product_id"]), str(line["name"]), int(whole) * 100 + int(cents), int(line["quantity"]))


def _not_reserved(response: BaseHTTPResponse) -> Reservation:
    with _understood():
        problem = response.json()
        answer = _NOT_RESERVED[problem["type"]]
        if answer is not Answer.REFUSED:
            return Reservation(answer)
        refusal = Refusal(
            status=response.status,
            code=problem["type"],
            title=problem["title"],
            detail=problem["detail"],
            members={key: problem[key] for key in ("lines", "errors") if key in problem},
        )
        return Reservation(answer, refusal=refusal)
