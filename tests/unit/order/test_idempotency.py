"""Idempotency keys: a repeat gets the answer of the first request, and never makes a second order."""

import pytest

from order_service.model import Buyer, Item, OrderRequest
from order_service.new_order import failed_order
from order_service.payment.model import PaymentTerms
from order_service.placing import Placement
from order_service.product_client import ProductServiceUnavailable
from tests.unit.order.order_app import ANA, BOB, Shop, make_shop


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


def test_two_requests_with_one_key_in_flight_get_the_same_order(shop: Shop) -> None:
    """The second request is faster: the first one has its reservation, and its order is not written yet."""
    inner = []

    def repeat(_order_id: str) -> None:
        shop.products.meanwhile = lambda _order_id: None
        inner.append(shop.order(key="k"))

    shop.products.meanwhile = repeat
    outer = shop.order(key="k")
    assert [inner[0].status_code, outer.status_code] == [201, 201]
    assert [inner[0].headers.get("Idempotent-Replayed"), outer.headers.get("Idempotent-Replayed")] == [None, "true"]
    assert inner[0].json == outer.json
    assert (len(shop.documents()), shop.products.stock["mug"], shop.products.released) == (1, 8, [])


def test_another_order_under_a_key_in_flight_is_refused(shop: Shop) -> None:
    inner = []

    def reuse(_order_id: str) -> None:
        shop.products.meanwhile = lambda _order_id: None
        inner.append(shop.order(5, key="k"))

    shop.products.meanwhile = reuse
    assert shop.order(key="k").status_code == 201
    assert (inner[0].status_code, inner[0].json["type"]) == (422, "idempotency-key-reused")
    assert shop.products.stock["mug"] == 8


def abandoned(shop: Shop, quantity: int = 2) -> str:
    """Leave a reservation without an order, like a process that dies in between; return the order's id."""

    def die(order_id: str) -> None:
        if shop.products.asked.count(order_id) == 1:
            raise SystemExit

    shop.products.meanwhile = die
    with pytest.raises(SystemExit):
        shop.order(quantity, key="k")
    shop.products.meanwhile = lambda _order_id: None
    return shop.products.asked[-1]


def ids_of_attempts(number: int) -> list[str]:
    request = OrderRequest(Buyer("ana", None, None), (), "k")
    placement = Placement(None, None, None, PaymentTerms(), request)  # type: ignore[arg-type]
    return [placement._order_id(attempt) for attempt in range(number)]


def failed(shop: Shop, attempts: int) -> list[str]:
    """Leave failed attempts of the key: their requests died, and the worker has noted them but not released them."""
    ids = ids_of_attempts(attempts)
    for order_id in ids:
        shop.products.reserve(order_id, (Item("mug", 2),))
        assert shop.store.create(failed_order(order_id, shop.clock()))
    shop.products.asked.clear()
    return ids


def test_a_repeat_resumes_what_a_crash_has_left(shop: Shop) -> None:
    order_id = abandoned(shop)
    again = shop.order(key="k")
    assert (again.status_code, again.json["id"], shop.products.stock["mug"]) == (201, order_id, 8)
    assert shop.products.asked == [order_id] * 2
    assert [event["id"] for event in shop.document(order_id)["outbox"]] == [f"{order_id}.order_created"]


def test_a_repeat_with_another_body_does_not_take_over_what_a_crash_has_left(shop: Shop) -> None:
    abandoned(shop)
    other = shop.order(3, key="k")
    assert (other.status_code, other.json["type"], shop.documents()) == (422, "idempotency-key-reused", [])


@pytest.mark.parametrize("attempts", [1, 3])
def test_failed_attempts_free_the_key_and_their_stock_first(shop: Shop, attempts: int) -> None:
    """The failed attempts hold all of the stock, and still the next attempt is not refused."""
    shop.products.stock["mug"] = 2 * attempts
    ids = failed(shop, attempts)
    again = shop.order(2, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    assert again.json["id"] not in ids
    assert shop.products.released == ids
    repeat = shop.order(2, key="k")
    assert (repeat.json["id"], repeat.headers["Idempotent-Replayed"]) == (again.json["id"], "true")


def test_no_next_attempt_is_written_while_a_failed_one_cannot_be_released(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order_id,) = failed(shop, 1)

    def unanswered(_order_id: str) -> None:
        raise ProductServiceUnavailable

    monkeypatch.setattr(shop.products, "release", unanswered)
    assert shop.order(key="k").status_code == 503
    assert [document["_id"] for document in shop.documents()] == [order_id]


def test_hundreds_of_failed_attempts_are_skipped_with_one_query_per_hundred(shop: Shop) -> None:
    first = abandoned(shop, 1)
    ids = ids_of_attempts(250)
    assert ids[0] == first
    shop.database.orders.insert_many(
        {"_id": order_id, "status": "failed", "created_at": shop.clock(), "updated_at": shop.clock()}
        for order_id in ids
    )
    again = shop.order(1, key="k")
    assert again.status_code == 201
    assert shop.products.asked == [first, first, again.json["id"]]
    assert shop.products.stock["mug"] == 9


def test_while_product_service_is_away_an_order_is_answered_and_a_new_key_is_not_used_up(shop: Shop) -> None:
    order_id = shop.ordered(key="k")
    shop.products.away = True
    repeat = shop.order(key="k")
    assert (repeat.status_code, repeat.json["id"], repeat.headers["Idempotent-Replayed"]) == (201, order_id, "true")
    assert shop.order(3, key="k").status_code == 422
    assert shop.order(key="new").status_code == 503
    assert len(shop.documents()) == 1
    shop.products.away = False
    again = shop.order(key="new")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)


def test_while_product_service_is_away_an_order_behind_failed_attempts_is_answered(shop: Shop) -> None:
    failed(shop, 2)
    order_id = shop.ordered(key="k")
    shop.products.away = True
    assert shop.order(key="k").json["id"] == order_id


def test_while_product_service_is_away_failed_attempts_lead_to_503(shop: Shop) -> None:
    ids = failed(shop, 2)
    shop.products.away = True
    assert shop.order(key="k").status_code == 503
    assert sorted(document["_id"] for document in shop.documents()) == sorted(ids)


def test_a_repeat_finds_the_reservation_whose_answer_was_lost(shop: Shop) -> None:
    def lose(_order_id: str) -> None:
        shop.products.away = True

    shop.products.meanwhile = lose
    assert shop.order(key="k").status_code == 503
    assert (shop.documents(), shop.products.stock["mug"]) == ([], 8)
    shop.products.away, shop.products.meanwhile = False, lambda _order_id: None
    assert shop.order(key="k").status_code == 201
    assert shop.products.stock["mug"] == 8


def test_a_release_that_came_before_the_order_ends_the_attempt(shop: Shop) -> None:
    """A tombstone without an order, as a restored database may have: nothing can be reserved under that id again."""
    order_id = abandoned(shop)
    shop.products.release(order_id)
    again = shop.order(key="k")
    assert (again.status_code, again.json["id"] != order_id, shop.products.stock["mug"]) == (201, True, 8)
    assert shop.document(order_id)["status"] == "failed"


@pytest.mark.parametrize(("quantity", "status"), [(11, 409), (2, 201)])
def test_a_repeat_releases_the_stock_that_it_takes_for_a_rejected_or_cancelled_order(
    shop: Shop, quantity: int, status: int
) -> None:
    """Refusals and tombstones expire after a week, orders never do."""
    assert shop.order(quantity, key="k").status_code == status
    (order,) = shop.documents()
    if status == 201:
        shop.act(order["_id"], "cancel")
    shop.products.refused.clear()
    shop.products.released.clear()
    shop.products.stock["mug"] = 20
    repeat = shop.order(quantity, key="k")
    assert (repeat.status_code, repeat.headers["Idempotent-Replayed"]) == (status, "true")
    assert (shop.products.stock["mug"], shop.products.released) == (20, [order["_id"]])


def test_two_users_may_use_the_same_key(shop: Shop) -> None:
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
def test_any_visible_ascii_is_a_valid_key(shop: Shop, key: str) -> None:
    assert shop.order(key=key).json["id"] == shop.order(key=key).json["id"]
