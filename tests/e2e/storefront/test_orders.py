"""Ordering: from the first visit to the parcel, once, whatever happens on the way."""

import re
import time
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.clients import Client, orders_of, stock_of
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.steps import (
    fill_address,
    pay,
    place_order,
    put_into_cart,
    shown_order,
    sign_in,
    station,
    stored,
)

ORDERS = re.compile("/orders$")
CLICK_AT = "(button, moment) => void setTimeout(() => button.click(), moment - Date.now())"


def keys(page: Page) -> list[str]:
    """Return a list to which the idempotency key of each order that the page sends will be added."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and ORDERS.search(request.url):
            sent.append(request.headers["idempotency-key"])

    page.on("request", note)
    return sent


def lose(route: Route) -> None:
    """Let a request through, and lose its answer."""
    route.fetch()
    route.abort("connectionreset")


def test_a_newcomer_registers_orders_pays_and_watches_the_order_travel(page: Page) -> None:
    page.get_by_label("Search").fill("coff")
    expect(page.get_by_role("heading", name="Desk Lamp")).to_have_count(0)
    page.get_by_role("button", name="Add Coffee Grinder to the cart").click()
    page.get_by_role("link", name="Cart (1)").click()
    page.get_by_role("link", name="Sign in to order").click()
    page.get_by_role("link", name="No account yet?").click()
    page.get_by_label("E-mail").fill(f"{uuid.uuid4().hex[:12]}@example.com")
    page.get_by_label("Password").fill("analytical engine")
    page.get_by_label("Phone").fill("+44 20 7946 0000")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("button", name="Place order")).to_be_visible()
    fill_address(page)
    order = place_order(page)
    placed = station(page, "Order placed")
    for step in ("Outbox (done)", "RabbitMQ (done)", "E-mail (done)", "Text message (done)"):
        expect(placed.get_by_role("listitem").filter(has_text=step)).to_be_visible()
    expect(station(page, "Paid (not yet)")).to_be_visible()
    pay(page, "pm_card_ok")
    expect(station(page, "Paid (done)").get_by_role("listitem").filter(has_text="E-mail (done)")).to_be_visible()
    for label in ("Order", "Request id of the order", "Trace id of the order", "Trace id of the payment"):
        expect(page.get_by_role("button", name=f"Copy: {label}", exact=True)).to_be_visible()
    expect(page.get_by_text(f"./dev trace {order}")).to_be_visible()
    expect(page.get_by_role("link", name="Cart (0)")).to_be_visible()


@pytest.mark.parametrize(
    ("card", "status", "says", "ends_as"),
    [
        ("pm_card_declined", 402, "The card was declined", "Paid (failed)"),
        ("pm_card_lost", 503, "answer was lost", "Paid (done)"),
        ("pm_card_slow", 200, "", "Paid (done)"),
    ],
)
def test_each_card_does_what_it_says(
    buyer: Page, order: str, complaints: Complaints, card: str, status: int, says: str, ends_as: str
) -> None:
    buyer.goto(f"/#/orders/{order}")
    if status != 200:
        complaints.announce(f"status of {status}")
    pay(buyer, card)
    if says:
        expect(buyer.get_by_role("alert").filter(has_text=says)).to_be_visible()
    expect(station(buyer, ends_as)).to_be_visible()
    if ends_as == "Paid (failed)":
        pay(buyer, "pm_card_ok")
        expect(station(buyer, "Paid (done)")).to_be_visible()


def test_a_double_click_orders_once(buyer: Page, customer: Client, product: Callable[[int], str]) -> None:
    put_into_cart(buyer, product(5))
    fill_address(buyer)
    sent = keys(buyer)
    buyer.get_by_role("button", name="Place order").dblclick()
    shown_order(buyer)
    assert (len(sent), len(orders_of(customer))) == (1, 1)


def test_an_order_whose_answer_is_lost_is_sent_again_with_the_same_key(
    buyer: Page, customer: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    put_into_cart(buyer, pot := product(5))
    fill_address(buyer)
    sent = keys(buyer)
    complaints.announce("/orders", "ERR_CONNECTION_RESET")
    buyer.route(ORDERS, lose, times=2)  # the first of them is the preflight, if the browser shows it
    buyer.get_by_role("button", name="Place order").click()
    expect(buyer.get_by_text("sent again in")).to_be_visible()
    shown_order(buyer)
    assert (len(set(sent)), len(sent) > 1, len(orders_of(customer))) == (1, True, 1)
    assert stock_of(customer, pot) == 4


def test_an_attempt_outlives_the_page_and_is_asked_for_again_with_its_key(
    buyer: Page, customer: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    put_into_cart(buyer, product(5))
    fill_address(buyer)
    sent = keys(buyer)
    complaints.announce("/orders", "ERR_CONNECTION_RESET")
    buyer.route(ORDERS, lose)
    buyer.get_by_role("button", name="Place order").click()
    expect(buyer.get_by_text("sent again in")).to_be_visible()
    buyer.unroute(ORDERS)
    buyer.reload()
    buyer.get_by_role("button", name="Ask again").click()
    shown_order(buyer)
    assert (len(set(sent)), len(orders_of(customer))) == (1, 1)


def test_two_tabs_with_the_same_cart_order_once(buyer: Page, customer: Client, product: Callable[[int], str]) -> None:
    put_into_cart(buyer, product(5))
    other = buyer.context.new_page()
    sent = [keys(tab) for tab in (buyer, other)]
    for tab in (buyer, other):
        fill_address(tab)
    moment = time.time() * 1000 + 1500
    for tab in (buyer, other):
        tab.get_by_role("button", name="Place order").evaluate(CLICK_AT, moment)
    expect(other.get_by_role("link", name="Cart (0)")).to_be_visible()
    expect(buyer.get_by_role("link", name="Cart (0)")).to_be_visible()
    assert (len(set(sum(sent, []))), len(orders_of(customer))) == (1, 1)


def test_too_little_stock_is_said_and_the_cart_stays(
    buyer: Page, admin: Client, customer: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    put_into_cart(buyer, pot := product(5))
    fill_address(buyer)
    assert admin.post(f"/products/{pot}/stock", {"change": -5}).status_code == 200
    complaints.announce("status of 409")
    sent = keys(buyer)
    buyer.get_by_role("button", name="Place order").click()
    expect(buyer.get_by_role("alert").filter(has_text="not enough stock")).to_be_visible()
    expect(buyer.get_by_role("row").filter(has_text="Sold out")).to_be_visible()
    assert admin.post(f"/products/{pot}/stock", {"change": 5}).status_code == 200
    buyer.get_by_role("button", name="Place order").click()
    shown_order(buyer)
    assert len(set(sent)) == 2, "a refusal is final for its key"
    [rejected] = [order["id"] for order in orders_of(customer) if order["status"] == "rejected"]
    buyer.goto(f"/#/orders/{rejected}")
    expect(station(buyer, "Stock reserved (failed)")).to_contain_text("There is not enough stock")


def test_a_cancelled_order_shows_its_refund(buyer: Page, customer: Client, order: str) -> None:
    customer.post(f"/orders/{order}/pay", {"payment_method": "pm_card_ok"})
    buyer.goto(f"/#/orders/{order}")
    buyer.on("dialog", lambda dialog: dialog.accept())
    buyer.get_by_role("button", name="Cancel the order").click()
    expect(station(buyer, "Cancelled (done)")).to_be_visible()
    expect(station(buyer, "Refunded (done)").get_by_role("listitem").filter(has_text="E-mail (done)")).to_be_visible()
    expect(buyer.get_by_role("button", name="Cancel the order")).to_have_count(0)


def test_the_order_page_asks_with_etags_and_less_and_less_often(buyer: Page, order: str) -> None:
    answers: list[tuple[int, bool]] = []

    def note(request: Request) -> None:
        if request.method == "GET" and request.url.endswith(f"/orders/{order}"):
            response = request.response()
            answers.append((response.status if response else 0, "if-none-match" in request.headers))

    buyer.on("requestfinished", note)
    buyer.goto(f"/#/orders/{order}")
    shown_order(buyer)
    buyer.wait_for_timeout(6000)
    assert answers[0] == (200, False)
    assert set(answers[1:]) == {(304, True)}
    assert 3 <= len(answers) <= 7, "after 0.7 s, 1.1 s, 1.6 s, 2.4 s"


def test_markup_in_texts_is_shown_as_text(page: Page, admin: Client, customer: Client) -> None:
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    made = {"name": markup, "price": "1.00", "stock": 9, "description": markup, "category": markup}
    product = admin.post("/products", made).json()["id"]
    address = {"name": markup, "line1": markup, "city": markup, "country": "GB"}
    body = {"product_id": product, "quantity": 1, "shipping_address": address, "note": markup}
    order = customer.post("/orders", body).json()["id"]
    customer.post(f"/orders/{order}/pay", {"payment_method": "pm_card_ok"})
    tracking = {"carrier": markup, "tracking_number": markup, "tracking_url": "https://example.com/"}
    shipped = admin.post(f"/orders/{order}/ship", tracking)
    assert shipped.status_code == 200, shipped.text
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    sign_in(page, customer)
    for path in (f"/#/products/{product}", f"/#/orders/{order}", "/#/orders", "/#/?q=img"):
        page.goto(path)
        expect(page.get_by_text(markup).filter(visible=True).first).to_be_visible()
        assert page.locator("main b, img[src=x]").count() == 0
    admin.request("DELETE", f"/products/{product}")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//example.com", "x"])
def test_only_web_addresses_become_links(page: Page, address: str) -> None:
    script = "async (address) => (await import('/js/dom.js')).webLink(address, 'text')?.outerHTML ?? 'text'"
    assert page.evaluate(script, address) == "text"
    assert "noopener" in page.evaluate(script, "https://example.com/")


def test_the_browser_keeps_the_refresh_token_and_nothing_else_that_is_secret(
    buyer: Page, customer: Client, product: Callable[[int], str]
) -> None:
    put_into_cart(buyer, product(5))
    fill_address(buyer)
    place_order(buyer)
    kept = stored(buyer)
    assert kept.keys() <= {"cart", "traces", "refresh token", "shop.language", "cookies"}
    assert (kept["cookies"], kept["refresh token"].count(".")) == ("", 1)
    assert "eyJ" not in str(kept), "an access token"
    assert customer.password not in str(kept)
    buyer.get_by_role("button", name="Sign out").click()
    expect(buyer.get_by_role("link", name="Sign in")).to_be_visible()
    kept = stored(buyer)
    assert (kept.get("refresh token"), kept["traces"], kept["cart"]["attempt"]) == (None, [], None)
