"""Which actions each status allows, to whom, and who may see an order."""

import pytest

from tests.signing import bearer
from tests.unit.order.order_app import ADMIN, ANA, BOB, Shop, make_shop

STATES = ("confirmed", "shipped", "delivered", "rejected", "failed", "cancelled")
ALLOWED = {
    ("confirmed", "cancel"): "cancelled",
    ("confirmed", "ship"): "shipped",
    ("shipped", "deliver"): "delivered",
}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


def in_state(shop: Shop, state: str) -> str:
    order_id = shop.ordered()
    change = {"$set": {"status": state, "outbox": []}, "$unset": {"due": ""}}
    shop.database.orders.update_one({"_id": order_id}, change)
    return order_id


@pytest.mark.parametrize("action", ["cancel", "ship", "deliver"])
@pytest.mark.parametrize("state", STATES)
def test_an_action_moves_an_order_only_from_its_start_status(shop: Shop, state: str, action: str) -> None:
    order_id = in_state(shop, state)
    before = shop.document(order_id)
    shop.clock.move(1)
    response = shop.act(order_id, action)
    if (state, action) not in ALLOWED:
        assert (response.status_code, response.json["type"]) == (409, "wrong-state")
        assert shop.document(order_id) == before
        assert shop.products.released == []
        return
    end = ALLOWED[state, action]
    assert (response.status_code, response.json["status"]) == (200, end)
    assert response.json["updated_at"] == "2026-01-31T12:00:01.000Z"
    assert shop.get(f"/orders/{order_id}").json == response.json
    assert [event["type"] for event in shop.document(order_id)["outbox"]] == [f"order_{end}"]
    assert shop.products.released == ([order_id] if end == "cancelled" else [])


def test_cancelling_gives_the_stock_back_at_once(shop: Shop) -> None:
    order_id = shop.ordered(4)
    assert shop.products.stock["mug"] == 6
    assert shop.act(order_id, "cancel", ANA).status_code == 200
    assert shop.products.stock["mug"] == 10
    assert "release" not in shop.document(order_id)


def test_cancelling_succeeds_while_product_service_is_away_and_the_stock_returns_later(shop: Shop) -> None:
    order_id = shop.ordered(4)
    shop.products.away = True
    assert shop.act(order_id, "cancel", ANA).status_code == 200
    assert "release" in shop.document(order_id)
    shop.work()
    assert shop.products.stock["mug"] == 6
    shop.products.away = False
    shop.clock.move(6)
    shop.work()
    assert shop.products.stock["mug"] == 10
    assert "due" not in shop.document(order_id)


def test_a_second_cancellation_is_refused(shop: Shop) -> None:
    order_id = shop.ordered()
    assert [shop.act(order_id, "cancel", ANA).status_code for _ in range(2)] == [200, 409]
    assert [event["type"] for event in shop.document(order_id)["outbox"]] == ["order_created", "order_cancelled"]


@pytest.mark.parametrize("action", ["ship", "deliver"])
def test_only_an_administrator_ships_and_delivers(shop: Shop, action: str) -> None:
    order_id = shop.ordered()
    assert shop.act(order_id, action, ANA).status_code == 403
    assert shop.document(order_id)["status"] == "confirmed"


def test_another_users_order_is_not_found(shop: Shop) -> None:
    order_id = shop.ordered(headers=ANA)
    answers = [shop.get(f"/orders/{order_id}", BOB), shop.act(order_id, "cancel", BOB), shop.get("/orders/none", BOB)]
    assert [(answer.status_code, answer.json["type"]) for answer in answers] == [(404, "not-found")] * 3
    assert shop.document(order_id)["status"] == "confirmed"
    assert shop.get(f"/orders/{order_id}", ADMIN).status_code == 200


def test_when_an_administrator_cancels_an_order_the_event_still_names_the_buyer(shop: Shop) -> None:
    order_id = shop.ordered(headers=ANA)
    assert shop.act(order_id, "cancel", ADMIN).status_code == 200
    assert shop.document(order_id)["outbox"][1]["data"]["user"] == {"id": "ana", "email": "ana@example.com"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("GET", "/orders/x"),
        ("POST", "/orders/x/cancel"),
        ("POST", "/orders/x/ship"),
        ("POST", "/orders/x/deliver"),
    ],
)
def test_every_route_is_closed_to_strangers_and_services(shop: Shop, method: str, path: str) -> None:
    assert shop.client.open(path, method=method, data="no json").status_code == 401
    assert shop.client.open(path, method=method, headers=bearer("service"), data="no json").status_code == 403


def test_a_customer_lists_only_their_own_orders_newest_first_in_pages(shop: Shop) -> None:
    placed = []
    for number in range(5):
        shop.clock.move(number % 2)  # some of the same millisecond
        placed.append(shop.ordered(1))
    shop.ordered(1, headers=BOB)
    seen, cursor = [], ""
    while cursor is not None:
        page = shop.get(f"/orders?limit=2{cursor and '&cursor=' + cursor}").json
        seen += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == set(placed)
    moments = [shop.document(order_id)["created_at"] for order_id in seen]
    assert moments == sorted(moments, reverse=True)


def test_an_administrator_lists_everybodys_orders_or_one_users(shop: Shop) -> None:
    of_ana, of_bob = shop.ordered(headers=ANA), shop.ordered(headers=BOB)

    def listed(query: str, headers: dict[str, str] = ADMIN) -> list[str]:
        return sorted(order["id"] for order in shop.get(f"/orders{query}", headers).json["items"])

    assert listed("") == sorted([of_ana, of_bob])
    assert listed("?user_id=bob") == [of_bob]
    assert listed("?user_id=nobody") == []
    assert listed("", BOB) == [of_bob]
    assert listed("?user_id=bob", BOB) == [of_bob]
    assert shop.get("/orders?user_id=ana", BOB).status_code == 403


def test_lists_can_be_limited_to_a_status(shop: Shop) -> None:
    shipped, _ = shop.ordered(), shop.ordered()
    shop.act(shipped, "ship")
    shop.order(100)
    statuses = {state: len(shop.get(f"/orders?status={state}").json["items"]) for state in STATES}
    assert statuses == dict.fromkeys(STATES, 0) | {"shipped": 1, "confirmed": 1, "rejected": 1}


def test_failed_orders_are_shown_to_administrators_only_and_only_by_status(shop: Shop) -> None:
    shop.products.away = True
    assert shop.order().status_code == 503
    (failed,) = shop.documents()
    shop.products.away = False
    placed = shop.ordered()

    def listed(query: str, headers: dict[str, str]) -> list[str]:
        return [order["id"] for order in shop.get(f"/orders{query}", headers).json["items"]]

    assert (listed("", ADMIN), listed("?status=failed", ADMIN)) == ([placed], [failed["_id"]])
    assert (listed("", ANA), listed("?status=failed", ANA)) == ([placed], [])
    assert [shop.get(f"/orders/{failed['_id']}", who).status_code for who in (ANA, ADMIN)] == [404, 200]
    assert shop.act(failed["_id"], "cancel", ANA).status_code == 404
    assert shop.act(failed["_id"], "cancel", ADMIN).status_code == 409


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "status=pending",
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "sort=total",
        "user_id=" + "u" * 65,
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(shop: Shop, query: str) -> None:
    response = shop.get(f"/orders?{query}")
    assert (response.status_code, response.json["errors"][0]["field"]) == (422, query.partition("=")[0])
