"""The replies of product-service as values of this service; `contracts/http` has their schemas."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3 import BaseHTTPResponse

from chassis.errors import Misconfigured, Unavailable
from order_service.model import Line, Outcome, Refusal, ReservationResult

_MISCONFIGURED = (403, 404, 405)  # a caller with the right URL and the role of a service never gets these
_CONFLICTS = {  # by the problem's type
    "insufficient-stock": Outcome.REFUSED,
    "unknown-product": Outcome.REFUSED,
    "reservation-differs": Outcome.MISMATCH,
    "reservation-released": Outcome.RELEASED,
}


class ProductServiceUnavailable(Unavailable):
    """Product-service does not answer in time, so whether it took the stock is unknown. Safe to repeat."""

    code, title = "product-service-unavailable", "Product Service Unavailable"


class ProductServiceMisconfigured(Misconfigured, ProductServiceUnavailable):
    """Product-service rejects this service, or the URL leads to another server. Safe to repeat once corrected."""


def expect(response: BaseHTTPResponse, status: int) -> BaseHTTPResponse:
    """Return the response if it has this status. Raises ProductServiceUnavailable, ProductServiceMisconfigured."""
    if response.status in _MISCONFIGURED:
        raise ProductServiceMisconfigured(
            f"product-service answers {response.status}. Check PRODUCT_SERVICE_URL and CLIENT_ID."
        )
    if response.status != status:
        raise ProductServiceUnavailable(f"product-service answered {response.status} instead of {status}.")
    return response


def read_reservation(response: BaseHTTPResponse) -> ReservationResult:
    """Read the reply to a reservation. Raises ProductServiceUnavailable for a reply that breaks the contract."""
    with _contract():
        if response.status in (409, 422):
            return _read_conflict(response.status, response.json())
        outcome = Outcome.ALREADY_RESERVED if response.status == 200 else Outcome.RESERVED
        body = expect(response, 200 if response.status == 200 else 201).json()
        return ReservationResult(outcome, tuple(_read_line(line) for line in body["lines"]), str(body["currency"]))


def read_page(response: BaseHTTPResponse) -> tuple[list[tuple[str, str]], str | None]:
    """Read a page of reservations: (order id, state) of each, and the next cursor. Raises like `read_reservation`."""
    with _contract():
        page = expect(response, 200).json()
        return [(item["order_id"], item["state"]) for item in page["items"]], page["next_cursor"]


def read_stock(response: BaseHTTPResponse) -> dict[str, int]:
    """Read a list of products: the stock of each, by id. Raises like `read_reservation`."""
    with _contract():
        return {item["id"]: int(item["stock"]) for item in expect(response, 200).json()["items"]}


@contextmanager
def _contract() -> Iterator[None]:
    """Treat a reply that breaks the contract like an outage."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ProductServiceUnavailable("product-service sent an unexpected response.") from exc


def _read_line(line: dict[str, Any]) -> Line:
    whole, cents = str(line["unit_price"]).split(".")
    return Line(str(line["product_id"]), str(line["name"]), int(whole) * 100 + int(cents), int(line["quantity"]))


def _read_conflict(status: int, problem: dict[str, Any]) -> ReservationResult:
    outcome = _CONFLICTS[problem["type"]]
    if outcome is not Outcome.REFUSED:
        return ReservationResult(outcome)
    members: dict[str, Any] = {name: problem[name] for name in ("lines", "errors") if name in problem}
    refusal = Refusal(status, problem["type"], problem["title"], problem["detail"], members)
    return ReservationResult(outcome, refusal=refusal)
