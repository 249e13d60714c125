"""Placing an order: what is answered, what the order's document says, and what was done to the stock."""

from typing import Any

import pytest

from chassis.errors import Unavailable
from tests.unit.order_app import ADMIN, ANA, Shop, make_shop

TIME = "2026-01-31T12:00:00.000Z"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


def test_an_order_is_answered_with_the_servers_prices(shop: Shop) -> None:
    response = shop.post({"items": [{"product_id": "mug", "quantity": 2}, {"product_id": "pen", "quantity": 3}]})
    assert response.status_code == 201
    assert response.json == {
        "id": response.json["id"],
        "status": "confirmed",
        "items": [{"product_id": "mug", "quantity": 2}, {"product_id": "pen", "quantity": 3}],
        "lines": [
            {"product_id": "mug", "name": "Mug", "unit_price": "19.99", "quantity": 2},
            {"product_id": "pen", "name": "Pen", "unit_price": "0.05", "quantity": 3},
        ],
        "total": "40.13",
        "currency": "EUR",
        "created_at": TIME,
        "updated_at": TIME,
    }
    assert response.headers["Location"] == f"/orders/{response.json['id']}"
    assert "Idempotent-Replayed" not in response.headers
    assert shop.get(response.headers["Location"]).json == response.json
    assert shop.products.stock == {"mug": 8, "pen": 9_997}


def test_an_order_of_a_single_product_has_the_same_outcome_in_either_form(shop: Shop) -> None:
    short = shop.post({"product_id": "mug", "quantity": 2})
    long = shop.post({"items": [{"product_id": "mug", "quantity": 2}]})
    assert (short.status_code, long.status_code) == (201, 201)
    assert short.json | {"id": ""} == long.json | {"id": ""}


def test_the_same_product_twice_is_summed(shop: Shop) -> None:
    response = shop.post({"items": [{"product_id": "mug", "quantity": 6}, {"product_id": "mug", "quantity": 4}]})
    assert response.json["items"] == [{"product_id": "mug", "quantity": 10}]
    assert shop.products.stock["mug"] == 0
    assert shop.order(1).status_code == 409


def test_confirming_writes_the_event_in_the_same_document(shop: Shop) -> None:
    order_id = shop.ordered()
    document = shop.document(order_id)
    assert document["status"] == "confirmed"
    assert [event["id"] for event in document["outbox"]] == [f"{order_id}.order_created"]
    assert document["user"] == {"id": "ana", "email": "ana@example.com", "phone": None}


def test_too_little_stock_is_rejected_and_names_the_lines(shop: Shop) -> None:
    response = shop.order(11)
    assert response.status_code == 409
    assert response.json == {
        "type": "insufficient-stock",
        "title": "Insufficient Stock",
        "status": 409,
        "detail": "Not enough.",
        "instance": "/orders",
        "request_id": response.headers["X-Request-ID"],
        "lines": [{"product_id": "mug", "requested": 11, "available": 10}],
    }
    (document,) = shop.documents()
    assert (document["status"], "release" in document, "outbox" in document) == ("rejected", True, False)


def test_an_unknown_product_is_rejected_as_invalid(shop: Shop) -> None:
    response = shop.order(1, "nothing")
    assert (response.status_code, response.json["type"]) == (422, "unknown-product")
    assert response.json["errors"] == [{"field": "product_id", "message": "there is no product 'nothing'"}]
    assert [document["status"] for document in shop.documents()] == ["rejected"]


def test_an_order_fails_while_product_service_is_away(shop: Shop) -> None:
    shop.products.away = True
    response = shop.order()
    assert (response.status_code, response.json["type"], response.headers["Retry-After"]) == (
        503,
        "order-not-placed",
        "2",
    )
    (document,) = shop.documents()
    assert (document["status"], "release" in document, "outbox" in document) == ("failed", True, False)


def test_an_order_fails_if_there_is_no_token_to_call_product_service_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_token(*_args: Any) -> None:
        raise Unavailable("No service token from user-service.")

    monkeypatch.setattr(shop.products, "reserve", no_token)
    response = shop.order(key="k")
    assert (response.status_code, response.json["type"]) == (503, "order-not-placed")
    (document,) = shop.documents()
    assert (document["status"], "idempotency_key" in document) == ("failed", False)


def test_who_was_undone_meanwhile_answers_that_nothing_was_ordered(shop: Shop) -> None:
    shop.products.meanwhile = lambda order_id: shop.store.fail(order_id) and None
    response = shop.order()
    assert (response.status_code, response.json["type"]) == (503, "order-not-placed")
    (document,) = shop.documents()
    assert (document["status"], "release" in document, "outbox" in document) == ("failed", True, False)
    shop.work()
    assert shop.products.stock["mug"] == 10
    assert shop.publisher.published == []


def test_who_loses_the_race_to_reject_answers_what_the_document_says(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = shop.products.reserve

    def undone_meanwhile(order_id: str, items: Any) -> Any:
        shop.store.fail(order_id)
        return reserve(order_id, items)

    monkeypatch.setattr(shop.products, "reserve", undone_meanwhile)
    assert shop.order(11).status_code == 503
    assert [document["status"] for document in shop.documents()] == ["failed"]


@pytest.mark.parametrize("write", ["confirm", "reject", "fail"])
def test_a_write_whose_answer_got_lost_is_answered_like_one_that_went_well(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """The store runs a method again when the connection breaks; the second run finds the first one's work."""
    real = getattr(type(shop.store), write)

    def twice(*args: Any) -> Any:
        real(*args)
        return real(*args)

    monkeypatch.setattr(type(shop.store), write, twice)
    shop.products.away = write == "fail"
    expected = {"confirm": (201, "confirmed"), "reject": (409, "rejected"), "fail": (503, "failed")}[write]
    response = shop.order(11 if write == "reject" else 1)
    assert (response.status_code, shop.documents()[0]["status"]) == expected
    assert len(shop.documents()[0].get("outbox", [])) == (1 if write == "confirm" else 0)


@pytest.mark.parametrize(("action", "state"), [("cancel", "cancelled"), ("ship", "shipped")])
def test_an_action_whose_answer_got_lost_is_answered_like_one_that_went_well(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, action: str, state: str
) -> None:
    order_id = shop.ordered()
    real = type(shop.store).advance

    def twice(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(type(shop.store), "advance", twice)
    response = shop.act(order_id, action)
    assert (response.status_code, response.json.get("status")) == (200, state)
    assert len(shop.document(order_id)["outbox"]) == 2
    assert shop.act(order_id, action).status_code == 409


def test_an_order_is_inserted_once_though_the_answer_got_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(shop.store).open

    def twice(*args: Any) -> Any:
        real(*args)
        return real(*args)

    monkeypatch.setattr(type(shop.store), "open", twice)
    assert shop.order(key="k").status_code == 201
    assert shop.order().status_code == 201
    assert [document["status"] for document in shop.documents()] == ["confirmed", "confirmed"]


BAD_BODIES: list[tuple[Any, str]] = [
    ({}, ""),
    ({"items": []}, "items"),
    ({"items": None}, ""),
    ({"items": {}}, "items"),
    ({"items": "mug"}, "items"),
    ({"items": ["mug"]}, "items.0"),
    ({"items": [{"product_id": "mug"}]}, "items.0.quantity"),
    ({"items": [{"quantity": 1}]}, "items.0.product_id"),
    ({"items": [{"product_id": "mug", "quantity": 1, "unit_price": "0.01"}]}, "items.0.unit_price"),
    ({"items": [{"product_id": {"$ne": ""}, "quantity": 1}]}, "items.0.product_id"),
    ({"items": [{"product_id": "mug", "quantity": 1}] * 101}, "items"),
    ({"items": [{"product_id": "mug", "quantity": 501}] * 2}, ""),
    ({"items": [{"product_id": "mug", "quantity": 1}], "product_id": "mug", "quantity": 1}, ""),
    ({"items": [{"product_id": "mug", "quantity": 1}], "quantity": 1}, ""),
    ({"product_id": "mug"}, ""),
    ({"quantity": 1}, ""),
    ({"product_id": "mug", "quantity": True}, "quantity"),
    ({"product_id": "mug", "quantity": "2"}, "quantity"),
    ({"product_id": "mug", "quantity": 1.0}, "quantity"),
    ({"product_id": "mug", "quantity": 1.5}, "quantity"),
    ({"product_id": "mug", "quantity": 0}, "quantity"),
    ({"product_id": "mug", "quantity": -1}, "quantity"),
    ({"product_id": "mug", "quantity": 1001}, "quantity"),
    ({"product_id": "mug", "quantity": 10**30}, "quantity"),
    ({"product_id": "mug", "quantity": None}, ""),
    ({"product_id": 7, "quantity": 1}, "product_id"),
    ({"product_id": "", "quantity": 1}, "product_id"),
    ({"product_id": "a/b", "quantity": 1}, "product_id"),
    ({"product_id": "mug\n", "quantity": 1}, "product_id"),
    ({"product_id": "é", "quantity": 1}, "product_id"),
    ({"product_id": "m" * 65, "quantity": 1}, "product_id"),
    ({"product_id": "mug", "quantity": 1, "user_id": "bob"}, "user_id"),
    ({"product_id": "mug", "quantity": 1, "total": "0.01"}, "total"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
def test_a_body_that_breaks_a_rule_is_refused_and_changes_nothing(shop: Shop, body: Any, field: str) -> None:
    response = shop.post(body, key="k")
    assert (response.status_code, response.mimetype, response.json["type"]) == (
        422,
        "application/problem+json",
        "invalid-input",
    )
    assert [error["field"] for error in response.json["errors"]] == [field]
    assert shop.documents() == []
    assert shop.products.held == {}


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b'{"product_id": "mug", "quantity": NaN}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b" " * (1 << 20) + b"{}", "application/json", 413),
    ],
)
def test_what_is_no_json_object_is_refused(shop: Shop, content: bytes, content_type: str, status: int) -> None:
    response = shop.client.post("/orders", data=content, content_type=content_type, headers=ANA)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert shop.documents() == []


def test_an_order_may_have_a_hundred_lines_and_a_thousand_units_of_each(shop: Shop) -> None:
    items = [{"product_id": f"p-{number}", "quantity": 1000} for number in range(100)]
    for item in items:
        shop.products.stock[item["product_id"]], shop.products.prices[item["product_id"]] = 1000, 99_999_999_999
    response = shop.post({"items": items}, headers=ADMIN)
    assert (response.status_code, response.json["total"]) == (201, "99999999999000.00")
