"""Idempotency keys: a repeat is answered like the first, and never makes a second order."""

import pytest

from tests.unit.order_app import ANA, BOB, Shop, make_shop


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


def test_a_repeat_is_answered_with_the_same_order(shop: Shop) -> None:
    first, second = shop.order(key="k"), shop.order(key="k")
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (201, None)
    assert (second.status_code, second.headers.get("Idempotent-Replayed")) == (201, "true")
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert shop.products.stock["mug"] == 8


def test_a_repeat_shows_the_order_as_it_is_now(shop: Shop) -> None:
    order_id = shop.ordered(key="k")
    shop.act(order_id, "ship")
    repeat = shop.order(key="k")
    assert (repeat.status_code, repeat.json["id"], repeat.json["status"]) == (201, order_id, "shipped")


def test_a_repeat_in_the_other_form_is_the_same_order(shop: Shop) -> None:
    first = shop.post({"product_id": "mug", "quantity": 2}, key="k")
    halves = [{"product_id": "mug", "quantity": 1}, {"product_id": "mug", "quantity": 1}]
    second = shop.post({"items": halves}, key="k")
    assert (second.status_code, second.json["id"]) == (201, first.json["id"])


def test_a_rejected_order_is_rejected_again_even_when_there_is_stock_again(shop: Shop) -> None:
    first = shop.order(11, key="k")
    shop.products.stock["mug"] = 100
    second = shop.order(11, key="k")
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (409, None)
    assert (second.status_code, second.headers.get("Idempotent-Replayed")) == (409, "true")
    differs = {"request_id": ""}
    assert second.json | differs == first.json | differs
    assert shop.products.stock["mug"] == 100


def test_an_unknown_product_is_refused_again(shop: Shop) -> None:
    first, second = shop.order(1, "nothing", key="k"), shop.order(1, "nothing", key="k")
    assert (first.status_code, second.status_code) == (422, 422)
    assert second.json["errors"] == first.json["errors"] != []
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("first_quantity", [2, 11])
def test_a_key_cannot_be_used_for_another_order(shop: Shop, first_quantity: int) -> None:
    shop.order(first_quantity, key="k")
    stock = shop.products.stock["mug"]
    other = shop.order(3, key="k")
    assert (other.status_code, other.json["type"]) == (422, "idempotency-key-reused")
    assert (len(shop.documents()), shop.products.stock["mug"]) == (1, stock)


def test_a_repeat_while_the_first_is_in_flight_is_to_wait(shop: Shop) -> None:
    inner = []
    shop.products.meanwhile = lambda _order_id: inner.append(shop.order(key="k"))
    first = shop.order(key="k")
    assert first.status_code == 201
    assert (inner[0].status_code, inner[0].json["type"]) == (409, "request-in-progress")
    assert inner[0].headers["Retry-After"] == "1"
    assert len(shop.documents()) == 1


def test_another_order_under_a_key_in_flight_is_refused_for_good(shop: Shop) -> None:
    inner = []
    shop.products.meanwhile = lambda _order_id: inner.append(shop.order(5, key="k"))
    shop.order(key="k")
    assert (inner[0].status_code, inner[0].json["type"]) == (422, "idempotency-key-reused")


def test_a_failed_order_frees_its_key(shop: Shop) -> None:
    shop.products.away = True
    assert shop.order(key="k").status_code == 503
    shop.products.away = False
    again = shop.order(3, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    assert sorted(document["status"] for document in shop.documents()) == ["confirmed", "failed"]


def test_an_order_left_pending_keeps_its_key_until_it_is_undone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_order_id: str) -> None:
        raise SystemExit

    shop.products.meanwhile = die
    with pytest.raises(SystemExit):
        shop.order(key="k")
    shop.products.meanwhile = lambda _order_id: None
    shop.clock.move(14.9)
    shop.work()
    assert shop.order(key="k").status_code == 409
    shop.clock.move(0.1)
    shop.work()
    assert shop.order(key="k").status_code == 201
    assert shop.products.stock["mug"] == 8


def test_a_key_is_its_users_own(shop: Shop) -> None:
    first, second = shop.order(key="k", headers=ANA), shop.order(3, key="k", headers=BOB)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json["id"] != second.json["id"]


def test_without_a_key_every_order_is_a_new_one(shop: Shop) -> None:
    assert shop.ordered() != shop.ordered()


@pytest.mark.parametrize("key", ["a b", "é", "k" * 256, "tab\t", "\x7f"])
def test_a_key_that_is_not_visible_ascii_is_refused(shop: Shop, key: str) -> None:
    response = shop.order(key=key)
    message = "must be 1 to 255 visible ASCII characters"
    assert (response.status_code, response.json["errors"]) == (
        422,
        [{"field": "Idempotency-Key", "message": message}],
    )
    assert shop.documents() == []


def test_an_empty_key_is_refused(shop: Shop) -> None:
    body = {"product_id": "mug", "quantity": 1}
    response = shop.client.post("/orders", json=body, headers=ANA | {"Idempotency-Key": ""})
    assert (response.status_code, shop.documents()) == (422, [])


@pytest.mark.parametrize("key", ["!", "~", "k" * 255, 'a"quoted"$key.with{braces}'])
def test_any_visible_ascii_makes_a_key(shop: Shop, key: str) -> None:
    assert shop.order(key=key).json["id"] == shop.order(key=key).json["id"]
