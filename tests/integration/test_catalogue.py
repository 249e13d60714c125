"""The catalogue: strict input, exact lists, and stock that stays right under concurrent changes."""

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pymongo import monitoring
from pymongo.errors import AutoReconnect

from tests import ephemeral_servers
from tests.at_once import at_once
from tests.integration.product_app import ADMIN, ORDERS, OTHER_ADMIN, Shop, running
from tests.signing import bearer
from tests.waiting import until
from tools.stack.mongodb import MongoServer

FIELDS = [
    *("id", "name", "price", "currency", "stock", "description", "category", "sku", "image_url"),
    *("created_at", "updated_at"),
]


@pytest.fixture
def shop(mongo_url: str) -> Iterator[Shop]:
    with running(mongo_url) as shop:
        yield shop


@pytest.fixture(scope="module")
def quiet_shop(mongo_server: MongoServer) -> Iterator[Shop]:
    """A shop that tests share if they disturb no other test."""
    with ephemeral_servers.database(mongo_server) as url, running(url) as shop:
        yield shop


# One product


def test_a_product_comes_back_as_it_was_added(shop: Shop) -> None:
    texts = {"description": "For tea.", "category": "kitchen", "sku": "C-1", "image_url": "/pictures/cup.svg"}
    body = {"name": "Cup", "price": 9.9, "stock": 3, **texts}
    answer = shop.call("POST", "/products", ADMIN, json=body)
    assert answer.status_code == 201
    product = answer.json
    assert list(product) == FIELDS
    assert answer.headers["Location"] == f"/products/{product['id']}"
    assert product == {**product, **body, "price": "9.90", "currency": "EUR"}
    assert product["created_at"] == product["updated_at"]
    read = shop.call("GET", answer.headers["Location"])
    assert (read.json, read.headers["ETag"]) == (product, answer.headers["ETag"])


def test_optional_fields_may_be_left_out(shop: Shop) -> None:
    product = shop.add(0)
    assert (product["description"], product["category"], product["sku"], product["stock"]) == (None, None, None, 0)
    assert product["image_url"] is None


def test_a_product_of_an_earlier_version_has_no_image(shop: Shop) -> None:
    cup = shop.add(image_url="/cup.svg")["id"]
    shop.database.products.update_one({"_id": cup}, {"$unset": {"image_url": ""}})
    assert (shop.product(cup)["image_url"], shop.products()[0]["image_url"]) == (None, None)
    assert shop.patch(cup, image_url="https://images.example/cup.png").json["image_url"].startswith("https://")


@pytest.mark.parametrize("product_id", ["nothing", "a%00b", "%FF", "$ne", "x" * 500])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "stock"])
def test_an_unknown_product_is_404(quiet_shop: Shop, method: str, product_id: str) -> None:
    path, verb = (f"/products/{product_id}/stock", "POST") if method == "stock" else (f"/products/{product_id}", method)
    bodies = {"PUT": {"name": "x", "price": 1, "stock": 1}, "PATCH": {"stock": 1}, "stock": {"change": 1}}
    body = {"json": bodies[method]} if method in bodies else {}
    answer = quiet_shop.call(verb, path, ADMIN, **body)
    assert (answer.status_code, answer.json["type"]) == (404, "not-found")


def test_a_removed_product_is_not_found_but_stays_stored(shop: Shop) -> None:
    cup = shop.add(3, sku="C-1")["id"]
    assert shop.remove(cup).status_code == 204
    assert shop.call("GET", f"/products/{cup}").status_code == 404
    assert shop.remove(cup).status_code == 404
    assert shop.patch(cup, stock=1).status_code == 404
    assert shop.change_stock(cup, 1).status_code == 404
    assert shop.products() == []
    assert shop.database.products.find_one({"_id": cup})["name"] == "Cup"
    assert shop.add(1, sku="C-1")["sku"] == "C-1"


def test_replacing_clears_fields_that_are_left_out(shop: Shop) -> None:
    texts = {"description": "For tea.", "category": "kitchen", "sku": "C-1", "image_url": "/cup.svg"}
    cup = shop.add(3, **texts)["id"]
    answer = shop.put(cup, name="Mug", price="5", stock=4)
    assert answer.status_code == 200
    stored = {key: answer.json[key] for key in ("name", "price", "stock", *texts)}
    assert stored == {"name": "Mug", "price": "5.00", "stock": 4, **dict.fromkeys(texts)}
    assert answer.json == shop.product(cup)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "Mug"}, {"name": "Mug"}),
        ({"price": "0.01"}, {"price": "0.01"}),
        ({"stock": 0}, {"stock": 0}),
        ({"description": None}, {"description": None}),
        ({"category": None, "sku": None}, {"category": None, "sku": None}),
        ({"image_url": None}, {"image_url": None}),
        ({"image_url": "/mug.svg"}, {"image_url": "/mug.svg"}),
        ({"description": "$name"}, {"description": "$name"}),
        ({}, {}),
    ],
)
def test_patching_changes_the_given_fields_and_nothing_else(
    shop: Shop, change: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = shop.add(3, description="For tea.", category="kitchen", sku="C-1", image_url="/cup.svg")
    answer = shop.patch(before["id"], **change)
    assert answer.status_code == 200
    assert answer.json == {**before, **expected, "updated_at": answer.json["updated_at"]}
    shop.assert_invariant(before["id"])


@pytest.mark.parametrize("field", ["name", "price", "stock"])
def test_a_required_field_cannot_be_cleared(quiet_shop: Shop, field: str) -> None:
    cup = quiet_shop.add()["id"]
    before = quiet_shop.contents()
    assert quiet_shop.patch(cup, **{field: None}).status_code == 422
    assert quiet_shop.contents() == before


def test_a_sku_belongs_to_one_product(shop: Shop) -> None:
    shop.add(sku="C-1")
    pan = shop.add(sku="P-1")["id"]
    before = shop.contents()
    taken = [
        shop.call("POST", "/products", ADMIN, json={"name": "Mug", "price": 1, "stock": 1, "sku": "C-1"}),
        shop.put(pan, sku="C-1"),
        shop.patch(pan, sku="C-1"),
    ]
    assert [(answer.status_code, answer.json["type"]) for answer in taken] == [(409, "sku-taken")] * 3
    assert shop.contents() == before
    assert shop.patch(pan, sku="P-1").status_code == 200


@pytest.mark.parametrize("spelling", ["é-1", "É-1", " e\u0301-1 ", "é\u200b-1"], ids=ascii)
def test_spellings_of_a_sku_are_one_sku(shop: Shop, spelling: str) -> None:
    cup = shop.add(sku=" É-1 ")
    assert cup["sku"] == "É-1"
    body = {"name": "Mug", "price": 1, "stock": 1, "sku": spelling}
    assert shop.call("POST", "/products", ADMIN, json=body).json["type"] == "sku-taken"
    assert shop.patch(cup["id"], sku=spelling).status_code == 200


def test_concurrent_requests_for_a_sku_have_one_winner(shop: Shop) -> None:
    body = {"name": "Cup", "price": 1, "stock": 1, "sku": "C-1"}
    statuses = at_once(8, lambda _: shop.call("POST", "/products", ADMIN, json=body).status_code)
    assert Counter(statuses) == {201: 1, 409: 7}
    assert len(shop.products()) == 1


BAD_FIELDS: list[tuple[str, str]] = [
    *(("stock", value) for value in ("true", '"2"', "1.0", "-1", "1000000001", "1e3", "1e400", "9" * 400, "[]", "{}")),
    *(("price", value) for value in ("true", '"-1"', "-1", '"1.999"', "1e300", "1e400", "9" * 400, '""', '"1e2"')),
    *(("price", value) for value in ('"1,50"', '{"$gt": 0}', "[1]", "1000000000", '" 1"')),
    *(("name", value) for value in ('""', "1", "null", "[]", '{"$ne": 1}', '"a\\u0000b"', '"\\u001b[1m"', '"\\ud800"')),
    ("name", '"' + "x" * 201 + '"'),
    ("description", '"' + "x" * 5001 + '"'),
    ("description", '"\\u0007"'),
    *((field, '"\\u3164\\ufe0f "') for field in ("name", "description", "category", "sku")),
    *((field, '"\\u202eexe.gnp"') for field in ("name", "description", "category", "sku")),
    *(("image_url", value) for value in ('""', "1", "[]", '"cup.svg"', '"//evil.example/cup.svg"', '"/a b.svg"')),
    ("category", '""'),
    ("category", "1"),
    ("sku", '""'),
    ("sku", '"' + "x" * 101 + '"'),
    ("colour", '"red"'),
    ("id", '"mine"'),
    ("currency", '"USD"'),
    ("received", "1"),
    ("stock", "[" * 15 + "]" * 15),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=[f"{f}-{v[:20]}" for f, v in BAD_FIELDS])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_field_that_breaks_a_rule_is_named_and_nothing_changes(
    quiet_shop: Shop, method: str, field: str, value: str
) -> None:
    cup = quiet_shop.add()["id"]
    before = quiet_shop.contents()
    valid = {} if method == "PATCH" else {"name": '"Cup"', "price": '"1"', "stock": "1"}
    body = "{" + ", ".join(f'"{name}": {text}' for name, text in {**valid, field: value}.items()) + "}"
    path = "/products" if method == "POST" else f"/products/{cup}"
    answer = quiet_shop.call(method, path, ADMIN, data=body, content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), answer.text
    assert {error["field"].split(".")[0] for error in answer.json["errors"]} == {field}
    assert quiet_shop.contents() == before


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1" * 5000, "01", "1.", "'1'", "{", "", "[" * 300 + "]" * 300]
)
def test_a_body_that_is_not_json_is_400_and_changes_nothing(quiet_shop: Shop, text: str) -> None:
    before = quiet_shop.contents()
    body = '{"name": "Cup", "price": 1, "stock": ' + text
    body += "}" if text else ""
    answer = quiet_shop.call("POST", "/products", ADMIN, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["type"]) == (400, "bad-request")
    assert quiet_shop.contents() == before


@pytest.mark.parametrize("missing", ["name", "price", "stock"])
def test_a_product_without_its_fields_is_refused(quiet_shop: Shop, missing: str) -> None:
    body = {"name": "Cup", "price": 1, "stock": 1}
    del body[missing]
    answer = quiet_shop.call("POST", "/products", ADMIN, json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, missing)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/products"),
        ("PUT", "/products/x"),
        ("PATCH", "/products/x"),
        ("POST", "/products/x/stock"),
        ("DELETE", "/products/x"),
    ],
)
def test_only_administrators_change_the_catalogue(quiet_shop: Shop, method: str, path: str) -> None:
    assert quiet_shop.call(method, path).status_code == 401
    for headers in (ORDERS, bearer("customer"), bearer()):
        assert quiet_shop.call(method, path, headers).status_code == 403


# States of a product


def test_a_reader_that_knows_the_state_gets_304(shop: Shop) -> None:
    cup = shop.add()["id"]
    tag = shop.etag(cup)
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = shop.call("GET", f"/products/{cup}", {"If-None-Match": condition})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
        assert answer.headers["Cache-Control"] == "no-cache"
    shop.reserve("o1", (cup, 1))
    answer = shop.call("GET", f"/products/{cup}", {"If-None-Match": tag})
    assert (answer.status_code, answer.json["stock"]) == (200, 9)
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_is_made_only_in_the_state_that_it_expects(shop: Shop, method: str) -> None:
    cup = shop.add()["id"]
    change = shop.put if method == "PUT" else shop.patch
    old = shop.etag(cup)
    assert change(cup, {"If-Match": old}, name="Mug").status_code == 200
    before = shop.contents()
    for stale in (old, f"W/{shop.etag(cup)}", '"nonsense"', ""):
        answer = change(cup, {"If-Match": stale}, name="Jug")
        assert (answer.status_code, answer.json["type"]) == (412, "precondition-failed")
    assert shop.contents() == before
    for current in (f'"0", {shop.etag(cup)}', "*"):
        assert change(cup, {"If-Match": current}, name="Jug").status_code == 200
    assert shop.call(method, "/products/none", {**ADMIN, "If-Match": "*"}, json={}).status_code in (404, 422)


@pytest.mark.parametrize(("method", "path", "body"), [("DELETE", "", None), ("POST", "/stock", {"change": 5})])
def test_a_product_is_removed_or_restocked_only_in_the_state_that_is_expected(
    shop: Shop, method: str, path: str, body: Any
) -> None:
    cup = shop.add(10)["id"]
    old = shop.etag(cup)
    shop.reserve("o1", (cup, 1))
    before = shop.contents()
    for headers in ({"If-Match": old}, {"If-Match": '"0"'}, {"If-None-Match": "*"}, {"If-None-Match": shop.etag(cup)}):
        answer = shop.call(method, f"/products/{cup}{path}", {**ADMIN, **headers}, json=body)
        assert (answer.status_code, answer.json["type"]) == (412, "precondition-failed")
    assert shop.contents() == before
    current = {"If-Match": shop.etag(cup)}
    assert shop.call(method, f"/products/{cup}{path}", {**ADMIN, **current}, json=body).status_code < 300
    assert shop.contents() != before


def test_concurrent_removals_or_restocks_of_the_same_state_have_one_winner(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    headers = {**ADMIN, "If-Match": shop.etag(cup)}
    answers = at_once(8, lambda _: shop.call("POST", f"/products/{cup}/stock", headers, json={"change": 5}))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    assert shop.stock(cup) == 15
    headers = {**ADMIN, "If-Match": shop.etag(cup)}
    answers = at_once(8, lambda _: shop.call("DELETE", f"/products/{cup}", headers))
    assert Counter(answer.status_code for answer in answers if answer.status_code == 204) == {204: 1}
    assert {answer.status_code for answer in answers} <= {204, 404, 412}


def test_a_repeat_of_a_stock_change_succeeds_although_the_first_run_changed_the_state(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    headers = {**ADMIN, "If-Match": shop.etag(cup), "Idempotency-Key": "k"}
    answers = [shop.call("POST", f"/products/{cup}/stock", headers, json={"change": 5}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert shop.stock(cup) == 15


def test_an_order_in_between_makes_a_stock_take_with_if_match_fail(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    tag = shop.etag(cup)
    shop.reserve("o1", (cup, 2))
    assert shop.patch(cup, {"If-Match": tag}, stock=10).status_code == 412
    assert shop.stock(cup) == 8


def test_concurrent_changes_of_the_same_state_have_one_winner(shop: Shop) -> None:
    cup = shop.add()["id"]
    tag = shop.etag(cup)
    answers = at_once(8, lambda n: shop.patch(cup, {"If-Match": tag}, name=f"Cup {n}"))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    (winner,) = [answer.json["name"] for answer in answers if answer.status_code == 200]
    assert shop.product(cup)["name"] == winner


# Stock


def test_a_stock_take_books_the_difference(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    shop.reserve("o1", (cup, 4))
    assert shop.patch(cup, stock=2).json["stock"] == 2
    assert shop.database.products.find_one({"_id": cup})["received"] == 6
    assert shop.put(cup, stock=20).json["stock"] == 20
    shop.assert_invariant(cup)
    shop.release("o1")
    assert shop.stock(cup) == 24
    shop.assert_invariant(cup)


@pytest.mark.parametrize(("change", "stock"), [(5, 15), (-10, 0), (10**9 - 10, 10**9)])
def test_stock_is_changed_by_units(quiet_shop: Shop, change: int, stock: int) -> None:
    cup = quiet_shop.add(10)["id"]
    before = quiet_shop.product(cup)["updated_at"]
    answer = quiet_shop.change_stock(cup, change)
    assert (answer.status_code, answer.json["stock"], quiet_shop.stock(cup)) == (200, stock, stock)
    assert answer.headers["ETag"] == quiet_shop.etag(cup)
    assert answer.json["updated_at"] > before
    quiet_shop.assert_invariant(cup)


@pytest.mark.parametrize("change", [-11, 10**9 - 9, 10**9, -(10**9)])
def test_stock_stays_within_its_bounds(quiet_shop: Shop, change: int) -> None:
    cup = quiet_shop.add(10)["id"]
    before = quiet_shop.contents()
    answer = quiet_shop.change_stock(cup, change)
    assert (answer.status_code, answer.json["type"]) == (409, "insufficient-stock")
    assert quiet_shop.contents() == before


@pytest.mark.parametrize("change", [0, True, "2", 1.0, None, [], {"$inc": 1}, 10**9 + 1, -(10**9) - 1, 10**30])
def test_an_invalid_change_is_refused(quiet_shop: Shop, change: Any) -> None:
    cup = quiet_shop.add(10)["id"]
    before = quiet_shop.contents()
    assert quiet_shop.change_stock(cup, change).status_code == 422
    assert quiet_shop.contents() == before


def test_a_change_with_a_key_is_made_once(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    first, again = shop.change_stock(cup, 5, "k1"), shop.change_stock(cup, 5, "k1")
    assert (first.status_code, again.status_code, shop.stock(cup)) == (200, 200, 15)
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    shop.change_stock(cup, 1)
    assert shop.change_stock(cup, 5, "k1").json["stock"] == 16


def test_a_key_cannot_be_used_for_another_change(shop: Shop) -> None:
    cup, pan = shop.add(10)["id"], shop.add(10)["id"]
    shop.change_stock(cup, 5, "k1")
    before = shop.contents()
    assert [shop.change_stock(*other, "k1").status_code for other in ((cup, 6), (pan, 5), (cup, -5))] == [422] * 3
    assert shop.contents() == before


def test_keys_of_different_people_and_no_keys_are_different(shop: Shop) -> None:
    cup = shop.add(10)["id"]
    for key, headers in [("k1", ADMIN), ("k1", OTHER_ADMIN), (None, ADMIN), (None, ADMIN)]:
        assert shop.change_stock(cup, 5, key, headers).status_code == 200
    assert shop.stock(cup) == 30


def test_a_refused_change_leaves_its_key_free(shop: Shop) -> None:
    cup = shop.add(1)["id"]
    assert shop.change_stock(cup, -5, "k1").status_code == 409
    shop.change_stock(cup, 10)
    answer = shop.change_stock(cup, -5, "k1")
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers, shop.stock(cup)) == (200, False, 6)


@pytest.mark.parametrize("lock_wait", [0.7, 0], ids=["in one process", "without locks, as between processes"])
def test_a_key_sent_by_many_threads_changes_the_stock_once(shop: Shop, lock_wait: float) -> None:
    """The change takes the whole stock: a repeat must find the record before it finds no stock."""
    shop.transactions.lock_wait = lock_wait
    for number in range(5):
        cup = shop.add(5)["id"]
        answers = at_once(8, lambda _, cup=cup, number=number: shop.change_stock(cup, -5, f"k{number}"))  # type: ignore[misc]
        assert {answer.status_code for answer in answers} <= {200, 503}
        done = [answer for answer in answers if answer.status_code == 200]
        assert sum("Idempotent-Replayed" not in answer.headers for answer in done) <= 1
        assert shop.stock(cup) == 0
        shop.assert_invariant(cup)


def test_many_changes_at_once_add_up(shop: Shop) -> None:
    cup = shop.add(100)["id"]

    def change(units: int, key: str) -> bool:
        return shop.change_stock(cup, units, key).status_code == 200  # 503 is safe to repeat

    def change_thrice(number: int) -> None:
        for key in "abc":
            until(partial(change, number + 1, f"{number}{key}"), "it is changed")

    at_once(8, change_thrice)
    assert shop.stock(cup) == 100 + 3 * 36
    shop.assert_invariant(cup)


@pytest.mark.parametrize(
    ("method", "lost", "body", "status"),
    [
        ("PATCH", "update_one", {"stock": 7}, 200),
        ("PUT", "update_one", {"name": "Mug", "price": "1", "stock": 7}, 200),
        ("DELETE", "update_one", None, 204),
        ("POST", "insert_one", {"name": "Mug", "price": "1", "stock": 7}, 201),
    ],
)
def test_a_write_with_a_lost_answer_is_not_done_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, method: str, lost: str, body: Any, status: int
) -> None:
    cup = shop.add(10)["id"]
    tag = shop.etag(cup)
    path = "/products" if method == "POST" else f"/products/{cup}"
    collection = shop.app.extensions["catalogue"]._products._products
    write = getattr(type(collection), lost)
    left = itertools.count()

    def lose_first_answer(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = write(self, *args, **kwargs)
        if next(left) == 0:
            shop.reserve("o1", (cup, 1))
            raise AutoReconnect("connection closed")
        return result

    monkeypatch.setattr(type(collection), lost, lose_first_answer)
    condition = {} if method == "POST" else {"If-Match": tag}  # a new product has no state yet
    answer = shop.call(method, path, {**ADMIN, **condition}, **({"json": body} if body else {}))
    assert answer.status_code == status
    document = shop.database.products.find_one({"_id": cup})
    assert document["stock"] + shop.held(cup) == document["received"]
    assert shop.database.products.count_documents({}) == (2 if method == "POST" else 1)
    if method in ("PUT", "PATCH"):
        assert document["stock"] == 6


# Lists

GOODS: list[dict[str, Any]] = [
    {"name": "Blue Cup", "price": "5.00", "stock": 3, "category": "kitchen"},
    {"name": "red cup", "price": "7.50", "stock": 0, "category": "kitchen"},
    {"name": "Cupboard", "price": "99.00", "stock": 1, "category": "office"},
    {"name": "Äpfel, süß", "price": "7.50", "stock": 9, "category": "food"},
    {"name": "STRASSE Map", "price": "0.00", "stock": 2},
    {"name": "Desk", "price": "99.00", "stock": 0, "category": "office"},
]
FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"Blue Cup", "red cup", "Cupboard", "Äpfel, süß", "STRASSE Map", "Desk"}),
    ({"q": "cup"}, {"Blue Cup", "red cup", "Cupboard"}),
    ({"q": "CUP blu"}, {"Blue Cup"}),
    ({"q": "äp SÜSS"}, {"Äpfel, süß"}),
    ({"q": "straße"}, {"STRASSE Map"}),
    ({"q": "apfel suess"}, set()),
    ({"q": "APFEL suss"}, {"Äpfel, süß"}),
    ({"q": "***"}, set()),
    ({"q": "☕"}, set()),
    ({"q": "", "category": "", "cursor": ""}, {"Blue Cup", "red cup", "Cupboard", "Äpfel, süß", "STRASSE Map", "Desk"}),
    ({"q": " "}, {"Blue Cup", "red cup", "Cupboard", "Äpfel, süß", "STRASSE Map", "Desk"}),
    ({"q": "up"}, set()),
    ({"q": "c.*"}, {"Blue Cup", "red cup", "Cupboard"}),
    ({"category": "kitchen"}, {"Blue Cup", "red cup"}),
    ({"category": "Kitchen"}, set()),
    ({"category": "$ne"}, set()),
    ({"min_price": "7.5"}, {"red cup", "Cupboard", "Äpfel, süß", "Desk"}),
    ({"max_price": "7.50"}, {"Blue Cup", "red cup", "Äpfel, süß", "STRASSE Map"}),
    ({"min_price": "5", "max_price": "7.50"}, {"Blue Cup", "red cup", "Äpfel, süß"}),
    ({"min_price": "8", "max_price": "7"}, set()),
    ({"in_stock": "true"}, {"Blue Cup", "Cupboard", "Äpfel, süß", "STRASSE Map"}),
    ({"in_stock": "false"}, {"red cup", "Desk"}),
    ({"q": "cup", "category": "kitchen", "in_stock": "true", "max_price": "5"}, {"Blue Cup"}),
    ({"max_stock": "0"}, {"red cup", "Desk"}),
    ({"max_stock": "2"}, {"red cup", "Desk", "Cupboard", "STRASSE Map"}),
    ({"max_stock": "2", "in_stock": "true"}, {"Cupboard", "STRASSE Map"}),
    ({"max_stock": "2", "in_stock": "false"}, {"red cup", "Desk"}),
    ({"max_stock": "0", "in_stock": "true"}, set()),
    ({"max_stock": "1000000000"}, {"Blue Cup", "red cup", "Cupboard", "Äpfel, süß", "STRASSE Map", "Desk"}),
]
ORDERS_OF: dict[str, list[str]] = {
    "name": ["Äpfel, süß", "Blue Cup", "Cupboard", "Desk", "red cup", "STRASSE Map"],
    "newest": ["Desk", "STRASSE Map", "Äpfel, süß", "Cupboard", "red cup", "Blue Cup"],
}
PRICES = {"Blue Cup": 500, "red cup": 750, "Cupboard": 9900, "Äpfel, süß": 750, "STRASSE Map": 0, "Desk": 9900}


@pytest.fixture(scope="module")
def stocked(mongo_server: MongoServer) -> Iterator[Shop]:
    with ephemeral_servers.database(mongo_server) as url, running(url) as shop:
        for goods in GOODS:
            shop.add(**goods)
        shop.remove(shop.add(name="Hidden Cup", category="kitchen")["id"])
        yield shop


@pytest.mark.parametrize("sort", ["name", "price", "-price", "newest"])
def test_every_filter_gives_its_products_in_every_order(stocked: Shop, sort: str) -> None:
    for query, expected in FILTERS:
        names = [product["name"] for product in stocked.products(**query, sort=sort, limit=2)]
        assert set(names) == expected, query
        assert len(names) == len(expected), query
        if sort in ORDERS_OF:
            assert names == [name for name in ORDERS_OF[sort] if name in expected], query
        else:
            prices = [PRICES[name] for name in names]
            assert prices == sorted(prices, reverse=sort == "-price"), query


def test_products_are_named_by_their_ids_and_filtered_and_sorted_as_ever(stocked: Shop) -> None:
    ids = {product["name"]: product["id"] for product in stocked.products()}
    hidden = stocked.database.products.find_one({"name": "Hidden Cup"})["_id"]
    wanted = [ids["Desk"], "unknown", ids["red cup"], hidden, ids["Blue Cup"], ids["Desk"], "", "$ne", "☕"]

    def names(**query: Any) -> list[str]:
        return [product["name"] for product in stocked.products(ids=",".join(wanted), **query)]

    for limit in ({}, {"limit": 1}):
        assert names(**limit) == ["Blue Cup", "Desk", "red cup"]
        assert names(sort="-price", **limit) == ["Desk", "red cup", "Blue Cup"]
        assert names(q="cup", in_stock="true", **limit) == ["Blue Cup"]
        assert names(category="kitchen", max_stock="2", **limit) == ["red cup"]
    assert [stocked.products(ids=text) for text in ("", ",", " , ", "unknown")] == [[], [], [], []]
    assert [product["name"] for product in stocked.products(ids=f" {ids['Desk']} ,")] == ["Desk"]


def test_a_cart_of_a_hundred_products_is_one_page(shop: Shop) -> None:
    ids = [shop.add(name=f"Cup {number:03d}")["id"] for number in range(101)]
    text = ",".join(ids[:100])
    for query, count in ((f"ids={text}", 100), (f"ids={text}&limit=20", 20), (f"ids={text.replace(',', '%2C')}", 100)):
        page = shop.call("GET", f"/products?{query}").json
        assert (len(page["items"]), page["next_cursor"] is None) == (count, count == 100)
    answer = shop.call("GET", "/products", query_string={"ids": ",".join(ids)})
    assert (answer.status_code, answer.json["errors"]) == (
        422,
        [{"field": "ids", "message": "must name at most 100 products"}],
    )
    again = ",".join([*map(str, range(100)), *"0123456789"])  # counts once
    assert shop.call("GET", f"/products?ids={again}").json["items"] == []


def test_categories_are_those_of_what_is_for_sale_sorted_as_people_sort(shop: Shop) -> None:
    assert shop.call("GET", "/categories").json == {"items": []}
    for category in (
        "Zubehör",
        "kitchen",
        "Äpfel",
        "office",
        "Kitchen",
        "kitchen",
        "apfel",
        "$ne",
        None,
        "gone",
        "Tee",
    ):
        shop.add(name=f"Cup of {category}", category=category, stock=0)
    (gone,) = shop.products(category="gone")
    assert shop.remove(gone["id"]).status_code == 204
    (tea,) = shop.products(category="Tee")
    assert shop.patch(tea["id"], category=None).status_code == 200
    shop.reserve("o1", (shop.add(category="office")["id"], 1))
    counts = {"$ne": 1, "apfel": 1, "Äpfel": 1, "Kitchen": 1, "kitchen": 2, "office": 2, "Zubehör": 1}
    items = shop.call("GET", "/categories").json["items"]
    assert items == [{"name": name, "products": number} for name, number in counts.items()]
    assert [len(shop.products(category=name)) for name in counts] == [*counts.values()]


def test_lists_are_sorted_by_name_and_have_twenty_products_by_default(shop: Shop) -> None:
    for number in range(21):
        shop.add(name=f"Cup {number:02d}")
    answer = shop.call("GET", "/products").json
    assert [product["name"] for product in answer["items"]] == [f"Cup {number:02d}" for number in range(20)]
    assert answer["next_cursor"] is not None
    assert list(answer["items"][0]) == FIELDS


@pytest.mark.parametrize("sort", ["name", "price", "-price", "newest"])
def test_paging_never_skips_or_repeats_while_products_are_added(shop: Shop, sort: str) -> None:
    names = [f"{letter}{number}" for letter in "bdfh" for number in range(4)]
    product_ids = {shop.add(name=name, price=index // 3 + 1)["id"] for index, name in enumerate(names)}
    seen: list[str] = []
    for number, page in enumerate(shop.pages("/products", sort=sort, limit=3)):
        seen += [product["id"] for product in page]
        if number < 12:
            shop.add(name=f"{'aceg'[number % 4]}{number}", price=number % 7)
    assert len(seen) == len(set(seen))
    assert product_ids <= set(seen)


@pytest.mark.parametrize(("made_for", "used_on"), [*itertools.permutations(["name", "price", "-price", "newest"], 2)])
def test_a_cursor_of_another_order_is_refused(stocked: Shop, made_for: str, used_on: str) -> None:
    cursor = stocked.call("GET", "/products", query_string={"sort": made_for, "limit": 2}).json["next_cursor"]
    answer = stocked.call("GET", "/products", query_string={"sort": used_on, "cursor": cursor})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=1.0", "limit=x", "limit=", "limit=" + "9" * 400),
        *("limit=1&limit=1", "sort=price&sort=newest", "q=a&limit=1&q=b", "cursor=&cursor=", "colour=red&colour=red"),
        *(
            "cursor=x",
            "cursor=%00",
            "cursor=" + "x" * 2001,
            "sort=stock",
            "sort=",
            "colour=red",
            "in_stock=maybe",
            "in_stock=",
        ),
        *("min_price=-1", "min_price=1e2", "min_price=x", "max_price=1.999", "max_price=NaN"),
        *("q=%00", "q=" + "x" * 201, "category=%00", "q[$ne]=1"),
        *("max_stock=-1", "max_stock=1.0", "max_stock=x", "max_stock=", "max_stock=1000000001", "max_stock=true"),
        *("ids=" + "x" * 4001, "ids=%00", "ids=" + ",".join(map(str, range(101))), "ids=a&ids=b"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(quiet_shop: Shop, query: str) -> None:
    answer = quiet_shop.call("GET", f"/products?{query}")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert answer.json["errors"][0]["field"] == query.split("=")[0]


def test_cursors_of_the_longest_names_fit_into_a_request(shop: Shop) -> None:
    for name in ("😀" * 199, "㌖" * 200, "﷽" * 200, "ẞ" * 200):
        shop.add(name=name)
    assert [len(page) for page in shop.pages("/products", limit=1)] == [1, 1, 1, 1]


class Queries(monitoring.CommandListener):
    """Records the queries of a service."""

    def __init__(self) -> None:
        self.finds: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.finds.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def test_every_list_has_an_index_that_holds_its_order(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = Queries()
    monkeypatch.setattr(monitoring, "_LISTENERS", monitoring._Listeners([queries], [], [], [], []))
    with running(mongo_url) as shop:
        for filters in ({}, {"q": "cup"}, {"category": "kitchen"}):
            for sort in ("name", "price", "-price", "newest"):
                shop.products(sort=sort, **filters)
        list(shop.pages("/reservations", ORDERS))
        indexes = {
            name: [[field for field, _ in index["key"]] for index in shop.database[name].index_information().values()]
            for name in ("products", "reservations")
        }
    sorted_finds = [find for find in queries.finds if find.get("sort")]
    assert len(sorted_finds) == 13
    for find in sorted_finds:
        equal = [name for name in ("words", "category") if name in find["filter"]]
        assert [*equal, *find["sort"]] in indexes[find["find"]]
        assert len(set(find["sort"].values())) == 1


def test_products_of_an_earlier_version_are_found_and_sorted_at_the_next_start(
    mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(mongo_url) as shop:
        apple, zebra, cup, hidden = (shop.add(name=name, sku=name)["id"] for name in ("Äpfel", "Zebra", "cup", "Old"))
        shop.remove(hidden)
        for product, key in ((apple, "Äpfel"), (zebra, "Zebra"), (cup, "cup")):
            old = {"$set": {"words": [], "name_key": "zz", "sku_key": key}, "$unset": {"keys_version": ""}}
            shop.database.products.update_one({"_id": product}, old)
        shop.database.products.update_one({"_id": hidden}, {"$unset": {"keys_version": ""}})
        shop.database.products.update_one({"_id": zebra}, {"$set": {"sku": "CUP", "sku_key": "CUP"}})
        etag = shop.etag(apple)
    capsys.readouterr()
    for _ in range(2):
        with running(mongo_url) as shop:
            assert [product["name"] for product in shop.products()] == ["Äpfel", "cup", "Zebra"]
            assert [product["id"] for product in shop.products(q="apfel")] == [apple]
            assert shop.etag(apple) == etag
            keys = {d["_id"]: d.get("sku_key") for d in shop.database.products.find()}
    assert keys in ({apple: "äpfel", zebra: "CUP", cup: "cup", hidden: None},)


def test_demo_products_are_added_once_and_stay_as_they_are_at_later_starts(mongo_url: str) -> None:
    for _ in range(2):
        with running(mongo_url, demo_products=True) as shop:
            products = shop.products()
    assert len(products) == 12
    assert {product["image_url"] for product in products} >= {"/pictures/notebook.svg", "/pictures/desk-lamp.svg"}
    with running(mongo_url, demo_products=True) as shop:
        shop.patch("demo-1", stock=1)
        shop.remove("demo-2")
    with running(mongo_url, demo_products=True) as shop:
        assert len(shop.products()) == 11
        assert shop.stock("demo-1") == 1


def test_the_examples_in_the_description_lead_to_demo_products(mongo_url: str) -> None:
    with running(mongo_url, demo_products=True) as shop:
        operations = shop.call("GET", "/openapi.json").json["paths"]
        examples = {
            path: {each["name"]: each["example"] for each in operations[path]["get"]["parameters"] if "example" in each}
            for path in ("/products", "/products/{product_id}")
        }
        assert [product["name"] for product in shop.products(**examples["/products"])] == ["Coffee Grinder"]
        assert shop.product(examples["/products/{product_id}"]["product_id"])["name"] == "Espresso Machine"
