"""The errors of an election, sent by a stand-in for MongoDB: the real driver and services answer each with 503."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import order_service.config
import product_service.config
from tests.integration.electing_mongodb import ElectingServer, electing
from tests.integration.order_stack import as_user_service, close_databases
from tests.local_server import Asked, serving
from tests.signing import bearer

ERRORS = {
    "HostUnreachable": 6,  # this and the next two: a mongos that has not found the new primary yet
    "HostNotFound": 7,
    "NetworkTimeout": 89,
    "ShutdownInProgress": 91,
    "ReadConcernMajorityNotAvailableYet": 134,
    "PrimarySteppedDown": 189,
    "ExceededTimeLimit": 262,
    "SocketException": 9001,
    "NotWritablePrimary": 10107,
    "InterruptedAtShutdown": 11600,
    "InterruptedDueToReplStateChange": 11602,
    "NotPrimaryNoSecondaryOk": 13435,
    "NotPrimaryOrSecondary": 13436,
}
ELSEWHERE = ("HostUnreachable", "ReadConcernMajorityNotAvailableYet", "NotWritablePrimary")  # enough for other routes
LINE = {"product_id": "mug", "quantity": 1}
PRICED = {"lines": [{**LINE, "name": "Mug", "unit_price": "19.99"}], "currency": "EUR"}
CUSTOMER, SERVICE = bearer("customer"), bearer("service")


def neighbours(asked: Asked) -> tuple[int, Any]:
    """Answer like user-service and product-service."""
    return (201, PRICED) if asked.method == "PUT" else as_user_service(asked)


@pytest.fixture(scope="module")
def server() -> Iterator[ElectingServer]:
    with electing() as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def clients(server: ElectingServer) -> Iterator[dict[str, Any]]:
    """A client of each service that an order needs."""
    with serving(neighbours) as there, ExitStack() as resources, pytest.MonkeyPatch.context() as patch:
        close_databases(resources, patch)
        quiet = {"environment": "development", "log_level": "CRITICAL"}
        common = {**quiet, "mongo_url": server.url, "jwks_url": f"{there.url}/jwks"}
        account = {"token_url": f"{there.url}/token", "client_id": "order-service", "client_secret": "a secret"}
        orders = order_service.config.Settings(**common, **account, product_service_url=there.url)
        products = product_service.config.Settings(**common)
        apps = {"orders": order_service.create_app(orders), "products": product_service.create_app(products)}
        yield {name: app.test_client() for name, app in apps.items()}


@pytest.mark.parametrize(
    ("service", "method", "path", "body", "error"),
    [
        *(("orders", "POST", "/orders", LINE, error) for error in ERRORS),
        *(("orders", "GET", "/orders", None, error) for error in ELSEWHERE),
        *(("products", "PUT", "/reservations/o1", {"lines": [LINE]}, error) for error in ELSEWHERE),
        *(("products", "GET", "/products/mug", None, error) for error in ELSEWHERE),
    ],
)
def test_an_error_of_an_election_is_answered_503(
    server: ElectingServer,
    clients: dict[str, Any],
    service: str,
    method: str,
    path: str,
    body: Any,
    error: str,
) -> None:
    server.code = ERRORS[error]
    server.failed.clear()
    headers = CUSTOMER if service == "orders" else SERVICE
    answer = clients[service].open(path, method=method, json=body, headers=headers)
    assert server.failed, "the request has met the election"
    assert (answer.status_code, answer.json["status"]) == (503, 503), answer.json
    assert int(answer.headers["Retry-After"]) > 0
