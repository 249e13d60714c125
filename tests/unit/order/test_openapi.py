"""The OpenAPI description of order-service: what Swagger UI shows to somebody who tries the API."""

from typing import Any

import pytest

from order_service.examples import ITEM, LINE
from product_service.demo import DEMO_PRODUCTS
from tests.unit.order.order_app import Shop, make_shop

METHODS = ("get", "post")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


@pytest.fixture
def description(shop: Shop) -> Any:
    return shop.get("/openapi.json").json


def operations(description: Any) -> list[dict[str, Any]]:
    paths = [path for url, path in description["paths"].items() if url.startswith(("/orders", "/payments"))]
    return [path[method] for path in paths for method in METHODS if method in path]


def test_every_route_has_a_tag_a_summary_and_a_description(description: Any) -> None:
    assert len(operations(description)) == 8
    for operation in operations(description):
        assert operation["tags"] in (["Orders"], ["Payments"])
        assert operation["summary"]
        assert operation["description"]


def test_a_conflict_is_named_with_its_type_in_the_description(description: Any) -> None:
    for operation in operations(description):
        if "409" in operation["responses"]:
            assert "` (409)" in operation["description"]


def test_every_body_and_reply_has_an_example(description: Any) -> None:
    schemas = description["components"]["schemas"]
    names = {name for name in schemas if name.startswith(("Order", "Item", "Line"))} - {"OrderPath", "OrderQuery"}
    assert names >= {"OrderBody", "OrderReply", "OrderList", "ItemBody", "ItemReply", "LineReply"}
    assert [name for name in names if not schemas[name].get("example")] == []


def test_the_example_is_a_valid_first_order_of_the_demo_data(shop: Shop, description: Any) -> None:
    name, price = DEMO_PRODUCTS["demo-2"]["name"], DEMO_PRODUCTS["demo-2"]["price"]
    assert (ITEM["product_id"], LINE["name"], LINE["unit_price"]) == ("demo-2", name, f"{price / 100:.2f}")
    shop.products.stock["demo-2"], shop.products.prices["demo-2"] = 10, price
    schemas = description["components"]["schemas"]
    response = shop.post(schemas["OrderBody"]["example"])
    assert (response.status_code, response.json["total"]) == (201, schemas["OrderReply"]["example"]["total"])
    assert response.json.keys() == schemas["OrderReply"]["example"].keys()
    assert shop.get("/orders").json.keys() == schemas["OrderList"]["example"].keys()
