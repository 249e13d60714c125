"""What an order says of itself: its buyer, address, note, tracking, refusal and history; and how it is found again."""

import hashlib
from typing import Any

import phonenumbers
import pytest

from order_service.countries import COUNTRIES
from tests.signing import bearer
from tests.unit.order.order_app import ADMIN, ANA, BOB, Shop, make_shop

ADDRESS = {"name": "Ana Lima", "line1": "Rua Augusta 1", "city": "Lisboa", "postal_code": "1100-048", "country": "PT"}
EMPTY = {"line2": None, "region": None}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


def order(shop: Shop, key: str | None = None, **fields: Any) -> Any:
    return shop.post({"product_id": "mug", "quantity": 1, **fields}, key=key)


def test_an_order_keeps_its_address_and_note_as_they_were_given(shop: Shop) -> None:
    placed = order(shop, shipping_address=ADDRESS, note="  Ring twice,\nplease. ").json
    assert (placed["shipping_address"], placed["note"]) == (ADDRESS | EMPTY, "Ring twice,\nplease.")
    assert shop.get(f"/orders/{placed['id']}").json == placed
    event = shop.document(placed["id"])["outbox"][0]
    assert event["data"]["shipping_address"] == ADDRESS
    assert "Ring twice" not in str(event)


def test_empty_fields_of_a_form_are_as_if_they_were_left_out(shop: Shop) -> None:
    placed = order(shop, shipping_address=ADDRESS | {"line2": "", "region": " "}, note=" ").json
    assert (placed["shipping_address"], placed["note"]) == (ADDRESS | EMPTY, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " "),
        ("name", None),
        ("line1", "x" * 201),
        ("line1", 7),
        ("city", "\x00"),
        ("city", "Lisboa\nPorto"),
        ("city", "\u202eevil"),
        ("country", "pt"),
        ("country", "PRT"),
        ("country", "XX"),
        ("country", None),
        ("planet", "Earth"),
    ],
)
def test_an_address_that_breaks_a_rule_is_refused_and_nothing_is_reserved(shop: Shop, field: str, value: Any) -> None:
    response = order(shop, shipping_address=ADDRESS | {field: value})
    assert response.status_code == 422
    assert response.json["errors"][0]["field"].startswith(f"shipping_address.{field}")
    assert (shop.products.asked, shop.documents()) == ([], [])


def test_the_countries_are_those_that_have_telephones_and_some_more() -> None:
    own_codes_of_telephony = {"AC", "TA", "XK"}  # Ascension, Tristan da Cunha and Kosovo have no ISO 3166-1 code
    assert phonenumbers.SUPPORTED_REGIONS - own_codes_of_telephony <= COUNTRIES
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)


@pytest.mark.parametrize("change", [{"note": "Another"}, {"shipping_address": ADDRESS | {"city": "Porto"}}, {}])
def test_a_repeat_with_another_address_or_note_is_another_order(shop: Shop, change: dict[str, Any]) -> None:
    body = {"shipping_address": ADDRESS, "note": "Ring"}
    first = order(shop, key="k", **body)
    again, other = order(shop, key="k", **body), order(shop, key="k", **change)
    assert (first.status_code, again.status_code, again.json["id"]) == (201, 201, first.json["id"])
    assert (other.status_code, other.json["type"]) == (422, "idempotency-key-reused")


def test_a_key_of_an_order_from_before_there_were_addresses_still_leads_to_it(shop: Shop) -> None:
    first = order(shop, key="k")
    digest_of_version_1_0 = hashlib.sha256(b'[{"product_id": "mug", "quantity": 1}]').hexdigest()
    assert shop.document(first.json["id"])["fingerprint"] == digest_of_version_1_0


def test_the_history_says_who_moved_the_order_when(shop: Shop) -> None:
    order_id = shop.ordered()
    for seconds, action in ((1, "ship"), (2, "deliver")):
        shop.clock.move(seconds)
        assert shop.act(order_id, action).status_code == 200
    assert shop.get(f"/orders/{order_id}").json["history"] == [
        {"status": "confirmed", "at": "2026-01-31T12:00:00.000Z", "by": "customer"},
        {"status": "shipped", "at": "2026-01-31T12:00:01.000Z", "by": "admin"},
        {"status": "delivered", "at": "2026-01-31T12:00:03.000Z", "by": "admin"},
    ]


@pytest.mark.parametrize(
    ("headers", "by"),
    [(ANA, "customer"), (ADMIN, "admin"), (bearer("admin", "customer", user="ana"), "customer")],
)
def test_a_cancellation_names_the_buyer_or_the_administrator(shop: Shop, headers: dict[str, str], by: str) -> None:
    order_id = shop.ordered(headers=ANA)
    cancelled = shop.act(order_id, "cancel", headers).json
    assert (cancelled["history"][-1]["status"], cancelled["history"][-1]["by"]) == ("cancelled", by)
    assert shop.document(order_id)["outbox"][-1]["data"]["reason"] == by


def test_a_rejected_order_says_why(shop: Shop) -> None:
    refused = shop.order(11, key="k")
    (rejected,) = shop.get("/orders?status=rejected").json["items"]
    assert rejected["refusal"] == {
        "type": "insufficient-stock",
        "title": "Insufficient Stock",
        "detail": refused.json["detail"],
        "lines": [{"product_id": "mug", "requested": 11, "available": 10}],
    }
    assert (rejected["history"][0]["status"], rejected["lines"], rejected["total"]) == ("rejected", [], None)


def test_a_rejected_order_for_an_unknown_product_says_so(shop: Shop) -> None:
    assert shop.order(1, "rocket").status_code == 422
    (rejected,) = shop.get("/orders?status=rejected").json["items"]
    assert (rejected["refusal"]["type"], rejected["refusal"]["lines"]) == ("unknown-product", [])


def test_an_order_of_an_earlier_version_is_shown_without_what_it_does_not_know(shop: Shop) -> None:
    order_id = shop.ordered()
    shop.database.orders.update_one({"_id": order_id}, {"$unset": {"history": ""}})
    shown = shop.get(f"/orders/{order_id}").json
    assert (shown["history"], shown["shipping_address"], shown["payment"]) == ([], None, None)
    shipped = shop.act(order_id, "ship").json
    assert [entry["status"] for entry in shipped["history"]] == ["shipped"]


# --- Shipping ---------------------------------------------------------------------------------------------------------

TRACKING = {"carrier": "CTT", "tracking_number": "LX1", "tracking_url": "https://ctt.example.com/LX1?lang=pt"}


def ship(shop: Shop, order_id: str, **arguments: Any) -> Any:
    return shop.client.post(f"/orders/{order_id}/ship", headers=ADMIN, **arguments)


def test_an_order_is_shipped_with_its_tracking(shop: Shop) -> None:
    order_id = shop.ordered()
    expected = {"carrier": "CTT", "number": "LX1", "url": "https://ctt.example.com/LX1?lang=pt"}
    assert ship(shop, order_id, json=TRACKING).json["tracking"] == expected
    assert shop.document(order_id)["outbox"][-1]["data"]["tracking"] == expected
    shop.act(order_id, "deliver")
    assert shop.document(order_id)["outbox"][-1]["data"]["tracking"] == expected


@pytest.mark.parametrize(
    "arguments",
    [{}, {"json": {}}, {"json": {"carrier": "", "tracking_url": " "}}, {"data": b"", "content_type": "a/b"}],
)
def test_an_order_is_shipped_without_tracking(shop: Shop, arguments: dict[str, Any]) -> None:
    order_id = shop.ordered()
    shipped = ship(shop, order_id, **arguments)
    assert (shipped.status_code, shipped.json["status"], shipped.json["tracking"]) == (200, "shipped", None)
    assert "tracking" not in shop.document(order_id)["outbox"][-1]["data"]


def test_what_is_known_of_the_tracking_is_enough(shop: Shop) -> None:
    order_id = shop.ordered()
    shipped = ship(shop, order_id, json={"tracking_number": "LX1"}).json
    assert shipped["tracking"] == {"carrier": None, "number": "LX1", "url": None}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"json": {"tracking_url": "javascript:alert(1)"}}, 422),
        ({"json": {"tracking_url": "ftp://host/x"}}, 422),
        ({"json": {"tracking_url": "https://"}}, 422),
        ({"json": {"tracking_url": "https://host/a b"}}, 422),
        ({"json": {"tracking_url": 'https://host/"><script>'}}, 422),
        ({"json": {"tracking_url": "https://[host"}}, 422),
        ({"json": {"tracking_url": "https://host/" + "x" * 2000}}, 422),
        ({"json": {"carrier": "x" * 101}}, 422),
        ({"json": {"carrier": 7}}, 422),
        ({"json": {"carrier": "a\tb"}}, 422),
        ({"json": {"tracking_url": "https://user:password@host/x"}}, 422),
        ({"json": {"tracking_url": "https://host:99999/x"}}, 422),
        ({"json": {"speed": "fast"}}, 422),
        ({"json": []}, 422),
        ({"data": b"null", "content_type": "application/json"}, 422),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"{}", "content_type": "text/plain"}, 415),
    ],
)
def test_a_shipment_that_breaks_a_rule_is_refused(shop: Shop, arguments: dict[str, Any], status: int) -> None:
    order_id = shop.ordered()
    assert ship(shop, order_id, **arguments).status_code == status
    assert shop.document(order_id)["status"] == "confirmed"


def test_the_description_says_that_the_body_of_a_shipment_may_be_left_out(shop: Shop) -> None:
    paths = shop.get("/openapi.json").json["paths"]
    required = {
        path: paths[path]["post"]["requestBody"]["required"]
        for path in paths
        if "requestBody" in paths[path].get("post", {})
    }
    assert required == {"/orders": True, "/orders/{order_id}/pay": True, "/orders/{order_id}/ship": False}


# --- Finding orders again ---------------------------------------------------------------------------------------------


def test_orders_are_found_by_their_time_from_the_first_bound_on_and_before_the_second(shop: Shop) -> None:
    orders = []
    for _ in range(4):
        orders.append(shop.ordered(1))
        shop.clock.move(60)
    noon = "2026-01-31T12:0{}:00.000Z"

    def found(query: str) -> list[int]:
        ids = [item["id"] for item in shop.get(f"/orders?{query}").json["items"]]
        return sorted(map(orders.index, ids))

    assert found(f"created_after={noon.format(1)}") == [1, 2, 3]
    assert found(f"created_before={noon.format(1)}") == [0]
    assert found(f"created_after={noon.format(1)}&created_before={noon.format(3)}") == [1, 2]
    assert found("created_after=2026-01-31T13:01:30%2B01:00") == [2, 3]
    assert found(f"created_after={noon.format(1)}&status=cancelled") == []
    first = shop.get(f"/orders?limit=1&created_after={noon.format(1)}").json
    second = shop.get(f"/orders?limit=2&created_after={noon.format(1)}&cursor={first['next_cursor']}").json
    assert [item["id"] for item in [*first["items"], *second["items"]]] == [orders[3], orders[2], orders[1]]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-13-31T12:00:00Z",
        "1767182400",
        "0001-01-01T00:00:00%2B14:00",
        "2026-01-31T12:00:00+01:00",  # the + is not encoded, so it is a blank
        "",
    ],
)
@pytest.mark.parametrize("name", ["created_after", "created_before"])
def test_a_time_that_breaks_a_rule_is_refused(shop: Shop, name: str, moment: str) -> None:
    response = shop.get(f"/orders?{name}={moment}")
    assert (response.status_code, response.json["errors"][0]["field"]) == (422, name)


def test_a_page_can_poll_an_order_by_its_etag(shop: Shop) -> None:
    order_id = shop.ordered()
    first = shop.get(f"/orders/{order_id}")
    etag = first.headers["ETag"]
    same = shop.get(f"/orders/{order_id}", ANA | {"If-None-Match": etag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    shop.act(order_id, "ship")
    changed = shop.get(f"/orders/{order_id}", ANA | {"If-None-Match": etag})
    assert (changed.status_code, changed.json["status"], changed.headers["ETag"] == etag) == (200, "shipped", False)
    assert shop.get(f"/orders/{order_id}", BOB | {"If-None-Match": etag}).status_code == 404
