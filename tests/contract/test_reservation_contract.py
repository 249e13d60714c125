"""Reservations as product-service answers them and order-service reads them.

The schemas and golden examples under `contracts/http/` stand between the two: both sides are tested against them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from order_service.model import Item, Line, Outcome, ReservationResult
from order_service.product_client import ProductClient, ProductServiceUnavailable
from tests.integration.conftest import mongo_server, mongo_url
from tests.integration.product_app import ORDERS, Shop, running
from tests.local_server import LocalServer, serving

__all__ = ["mongo_server", "mongo_url"]

CONTRACTS = Path(__file__).parents[2] / "contracts" / "http"
NAMES = sorted(file.name.removesuffix(".schema.json") for file in CONTRACTS.glob("*.schema.json"))
ASKED = (Item("cup", 2), Item("pan", 1))


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((CONTRACTS / f"{name}.schema.json").read_text()))


def example(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.example.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_valid_and_so_is_its_example(name: str) -> None:
    Draft202012Validator.check_schema(schema(name).schema)
    schema(name).validate(example(name))


def test_the_contract_has_all_of_its_parts() -> None:
    assert NAMES == [
        "reservation.differs",
        "reservation.held",
        "reservation.refused",
        "reservation.released",
        "reservation.request",
        "reservation.unknown",
        "reservations.page",
    ]


# product-service answers as the contract says


@pytest.fixture
def shop(mongo_url: str) -> Iterator[Shop]:  # noqa: F811
    with running(mongo_url) as shop:
        catalogue = shop.app.extensions["catalogue"]
        attributes = {"stock": 2, "description": None, "category": None, "sku": None}
        catalogue.add({**attributes, "name": "Cup", "price": 990}, "cup")
        catalogue.add({**attributes, "name": "Cast Iron Pan", "price": 4500}, "pan")
        yield shop


def reserve(shop: Shop, order_id: str) -> Any:
    return shop.call("PUT", f"/reservations/{order_id}", ORDERS, json=example("reservation.request"))


def test_product_service_answers_the_example_with_the_example(shop: Shop) -> None:
    answer = reserve(shop, "order-1")
    schema("reservation.held").validate(answer.json)
    assert (answer.status_code, answer.json) == (201, example("reservation.held"))
    again = reserve(shop, "order-1")
    assert (again.status_code, again.json) == (200, example("reservation.held"))


def test_product_service_refuses_other_lines_as_the_contract_says(shop: Shop) -> None:
    shop.reserve("order-1", ("cup", 1))
    assert_conflict(reserve(shop, "order-1"), "reservation.differs")


def test_product_service_refuses_what_was_released_as_the_contract_says(shop: Shop) -> None:
    reserve(shop, "order-1")
    shop.release("order-1")
    assert_conflict(reserve(shop, "order-1"), "reservation.released")


def assert_conflict(answer: Any, name: str) -> None:
    schema(name).validate(answer.json)
    assert answer.status_code == 409
    assert answer.json == {**example(name), "request_id": answer.headers["X-Request-ID"]}


def test_product_service_refuses_too_little_stock_as_the_contract_says(shop: Shop) -> None:
    shop.patch("cup", stock=1)
    answer = reserve(shop, "order-1")
    schema("reservation.refused").validate(answer.json)
    assert answer.status_code == 409
    assert answer.json == {**example("reservation.refused"), "request_id": answer.headers["X-Request-ID"]}


def test_product_service_refuses_an_unknown_product_as_the_contract_says(shop: Shop) -> None:
    shop.remove("cup")
    answer = reserve(shop, "order-1")
    schema("reservation.unknown").validate(answer.json)
    assert answer.status_code == 422
    assert answer.json == {**example("reservation.unknown"), "request_id": answer.headers["X-Request-ID"]}


def test_product_service_lists_reservations_as_the_contract_says(shop: Shop) -> None:
    for order_id in ("order-1", "order-2"):
        reserve(shop, order_id)
    shop.release("order-3")
    for query in ("", "?limit=1", "?older_than=1000"):
        answer = shop.call("GET", f"/reservations{query}", ORDERS)
        assert answer.status_code == 200
        schema("reservations.page").validate(answer.json)


def test_product_service_releases_with_204(shop: Shop) -> None:
    assert shop.release("order-1").status_code == 204


# order-service asks and understands as the contract says


@pytest.fixture
def products() -> Iterator[LocalServer]:
    with serving(lambda _asked: (201, example("reservation.held"))) as server:
        yield server


@pytest.fixture
def client(products: LocalServer) -> Iterator[ProductClient]:
    client = ProductClient(products.url, lambda: "service-token", max_concurrent=2)
    yield client
    client._pool.renew()


def test_order_service_asks_with_the_example(client: ProductClient, products: LocalServer) -> None:
    client.reserve("order-1", ASKED)
    (asked,) = products.requests
    body = json.loads(asked.body)
    schema("reservation.request").validate(body)
    assert (asked.method, asked.path, body) == ("PUT", "/reservations/order-1", example("reservation.request"))
    assert (asked.headers["Authorization"], asked.headers["Content-Type"]) == (
        "Bearer service-token",
        "application/json",
    )


def test_order_service_takes_names_and_prices_from_the_example(client: ProductClient) -> None:
    lines = (Line("cup", "Cup", 990, 2), Line("pan", "Cast Iron Pan", 4500, 1))
    assert client.reserve("order-1", ASKED) == ReservationResult(Outcome.RESERVED, lines, "EUR")


def test_order_service_knows_what_was_taken_before(client: ProductClient, products: LocalServer) -> None:
    products.answer = lambda _asked: (200, example("reservation.held"))
    assert client.reserve("order-1", ASKED).outcome is Outcome.ALREADY_RESERVED


@pytest.mark.parametrize(
    ("name", "answer"), [("reservation.differs", Outcome.MISMATCH), ("reservation.released", Outcome.RELEASED)]
)
def test_order_service_knows_a_conflict_by_its_type(
    client: ProductClient, products: LocalServer, name: str, answer: Outcome
) -> None:
    products.answer = lambda _asked: (409, example(name))
    assert client.reserve("order-1", ASKED) == ReservationResult(answer)


@pytest.mark.parametrize(
    ("name", "code", "member"),
    [("reservation.refused", "insufficient-stock", "lines"), ("reservation.unknown", "unknown-product", "errors")],
)
def test_order_service_passes_a_refusal_on(
    client: ProductClient, products: LocalServer, name: str, code: str, member: str
) -> None:
    refused = example(name)
    products.answer = lambda _asked: (refused["status"], refused)
    reservation = client.reserve("order-1", ASKED)
    refusal = reservation.refusal
    assert reservation.outcome is Outcome.REFUSED
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.detail) == (refused["status"], code, refused["detail"])
    assert refusal.members == {member: refused[member]}
    assert len(products.requests) == 1


def test_order_service_reads_the_page_of_the_example(client: ProductClient, products: LocalServer) -> None:
    page = example("reservations.page")
    products.answer = lambda _asked: (200, page)
    found = client.reservations(older_than=30, cursor="abc")
    assert found == ([("order-1", "held"), ("order-2", "released")], page["next_cursor"])
    assert products.requests[0].path == "/reservations?older_than=30&limit=100&cursor=abc"


def test_order_service_releases_until_204(client: ProductClient, products: LocalServer) -> None:
    statuses = [503, 204]
    products.answer = lambda _asked: (statuses.pop(0), None)
    client.release("order-1")
    assert [(asked.method, asked.path) for asked in products.requests] == [("DELETE", "/reservations/order-1")] * 2


@pytest.mark.parametrize("left_out", ["lines", "currency"])
def test_an_answer_that_breaks_the_contract_is_an_outage(
    client: ProductClient, products: LocalServer, left_out: str
) -> None:
    held = example("reservation.held")
    del held[left_out]
    assert not schema("reservation.held").is_valid(held)
    products.answer = lambda _asked: (201, held)
    with pytest.raises(ProductServiceUnavailable):
        client.reserve("order-1", ASKED)
