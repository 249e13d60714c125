"""Placing an order: the answer, the order's document, and the stock afterwards."""

from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from chassis.errors import Unavailable
from order_service.new_order import failed_order
from tests.unit.order.order_app import ADMIN, ANA, Shop, make_shop

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
        "buyer": {"id": "ana", "email": "ana@example.com", "phone": None},
        "items": [{"product_id": "mug", "quantity": 2}, {"product_id": "pen", "quantity": 3}],
        "lines": [
            {"product_id": "mug", "name": "Mug", "unit_price": "19.99", "quantity": 2},
            {"product_id": "pen", "name": "Pen", "unit_price": "0.05", "quantity": 3},
        ],
        "total": "40.13",
        "currency": "EUR",
        "shipping_address": None,
        "note": None,
        "tracking": None,
        "payment": None,
        "refusal": None,
        "history": [{"status": "confirmed", "at": TIME, "by": "customer"}],
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
    assert (document["status"], "release" in document, "outbox" in document) == ("rejected", False, False)


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
    assert (response.status_code, response.json["type"]) == (503, "unavailable")
    assert shop.documents() == []


def test_a_failed_order_has_no_personal_data(shop: Shop) -> None:
    shop.products.away = True
    shop.order()
    (document,) = shop.documents()
    assert sorted(document) == ["_id", "created_at", "history", "release", "status", "updated_at"]


def note_as_failed(shop: Shop, order_id: str) -> None:
    """Write the failed order that the worker writes for a reservation without an order."""
    assert shop.store.create(failed_order(order_id, shop.clock()))


def test_a_request_that_the_worker_has_noted_as_failed_answers_that_nothing_was_ordered(shop: Shop) -> None:
    shop.products.meanwhile = lambda order_id: note_as_failed(shop, order_id)
    response = shop.order()
    assert (response.status_code, response.json["type"]) == (503, "order-not-placed")
    (document,) = shop.documents()
    assert (document["status"], "release" in document, "outbox" in document) == ("failed", True, False)
    shop.work()
    assert shop.products.stock["mug"] == 10
    assert shop.publisher.published == []


def test_a_request_with_a_key_that_the_worker_has_noted_as_failed_goes_on_with_the_next_attempt(shop: Shop) -> None:
    def give_up(order_id: str) -> None:
        shop.products.meanwhile = lambda _order_id: None
        note_as_failed(shop, order_id)

    shop.products.meanwhile = give_up
    assert shop.order(10, key="k").status_code == 201
    assert sorted(document["status"] for document in shop.documents()) == ["confirmed", "failed"]
    assert shop.products.stock["mug"] == 0


def test_a_refused_request_that_the_worker_has_noted_as_failed_obeys_the_note(shop: Shop) -> None:
    shop.products.meanwhile = lambda order_id: note_as_failed(shop, order_id)
    assert shop.order(11).status_code == 503
    assert [document["status"] for document in shop.documents()] == ["failed"]


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize(("quantity", "expected"), [(1, (201, "confirmed")), (11, (409, "rejected"))])
def test_an_insert_whose_answer_was_lost_is_answered_like_a_successful_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, key: str | None, quantity: int, expected: tuple[int, str]
) -> None:
    """The store repeats a method when the connection breaks; the second run finds the order of the first."""
    insert_twice(shop, monkeypatch)
    response = shop.order(quantity, key=key)
    (document,) = shop.documents()
    assert (response.status_code, document["status"]) == expected
    assert len(document.get("outbox", [])) == (1 if expected[0] == 201 else 0)
    assert shop.products.released == []


def test_a_note_whose_answer_was_lost_is_answered_like_a_successful_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_twice(shop, monkeypatch)
    shop.products.away = True
    response = shop.order()
    assert (response.status_code, response.json["type"]) == (503, "order-not-placed")
    assert [document["status"] for document in shop.documents()] == ["failed"]


def insert_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(shop.store).create

    def twice(*args: Any) -> bool:
        real(*args)
        return real(*args)

    monkeypatch.setattr(type(shop.store), "create", twice)


def test_a_request_waits_for_an_order_that_the_majority_does_not_have_yet(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id is taken, and a majority read does not show the order for a moment."""
    insert_twice(shop, monkeypatch)
    reads, real = [], type(shop.store).find

    def find(store: Any, order_id: str) -> Any:
        reads.append(order_id)
        return real(store, order_id) if len(reads) > 2 else None

    monkeypatch.setattr(type(shop.store), "find", find)
    assert shop.order(key="k").status_code == 201
    assert (len(reads), len(shop.documents())) == (3, 1)


def test_after_a_failed_write_the_database_is_read_before_stock_is_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_args: Any, **_kwargs: Any) -> Any:
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patch:
        patch.setattr("mongomock.collection.Collection.insert_one", lose)
        assert shop.order(key="a").status_code == 503
        assert len(shop.products.asked) == 1
        patch.setattr("mongomock.collection.Collection.find_one", lose)
        assert [shop.order(key=key).status_code for key in "bc"] == [503, 503]
    assert len(shop.products.asked) == 1
    assert [shop.order(key=key).status_code for key in "abc"] == [201, 201, 201]
    assert shop.products.stock["mug"] == 4


@pytest.mark.parametrize(("action", "state"), [("cancel", "cancelled"), ("ship", "shipped")])
def test_an_action_whose_answer_was_lost_is_answered_like_a_successful_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, action: str, state: str
) -> None:
    order_id = shop.ordered()
    real = type(shop.store).transition

    def twice(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(type(shop.store), "transition", twice)
    response = shop.act(order_id, action)
    assert (response.status_code, response.json.get("status")) == (200, state)
    assert len(shop.document(order_id)["outbox"]) == 2
    assert shop.act(order_id, action).status_code == 409


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
def test_a_body_that_is_no_json_object_is_refused(shop: Shop, content: bytes, content_type: str, status: int) -> None:
    response = shop.client.post("/orders", data=content, content_type=content_type, headers=ANA)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert shop.documents() == []


def test_an_order_may_have_a_hundred_lines_and_a_thousand_units_of_each(shop: Shop) -> None:
    items = [{"product_id": f"p-{number}", "quantity": 1000} for number in range(100)]
    for item in items:
        shop.products.stock[item["product_id"]], shop.products.prices[item["product_id"]] = 1000, 99_999_999_999
    response = shop.post({"items": items}, headers=ADMIN)
    assert (response.status_code, response.json["total"]) == (201, "99999999999000.00")
