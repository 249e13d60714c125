"""Events at the worst moment: something changes elsewhere, or people do what nobody has planned."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.clients import Client, orders_of
from tests.e2e.shop import Shop
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
from tests.waiting import until

PAUSES = (1, 2, 4, 5, 5, 5, 5, 5)  # seconds before each repeat of an order
TRY_PASSWORDS = """async ([url, email]) => {
  const body = JSON.stringify({ email, password: "wrong password" });
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body };
  while ((await fetch(url, request)).status === 401);
}"""


def intercept(page: Page, method: str, path: str, answer: Callable[[Route], object]) -> None:
    """Let `answer` decide about each such request of all tabs."""
    page.context.route(
        lambda url: urlsplit(url).path == path,
        lambda route: answer(route) if route.request.method == method else route.fallback(),
    )


def await_held(page: Page, held: list[Route], count: int) -> None:
    """Wait until so many requests are held back."""
    until(lambda: page.wait_for_timeout(10) or len(held) == count, f"{count} requests are held back", seconds=20)


def ids_of(customer: Client) -> list[str]:
    return [order["id"] for order in orders_of(customer)]


def test_what_is_typed_into_the_cart_stays_when_prices_arrive(
    page: Page, admin: Client, product: Callable[[int], str]
) -> None:
    pots = [product(9), product(9)]
    names = [admin.get(f"/products/{pot}").json()["name"] for pot in pots]
    for pot in pots:
        put_into_cart(page, pot)
    page.goto("/#/cart")
    first, second = (page.get_by_label(f"Quantity of {name}") for name in names)
    expect(page.get_by_text("Total: €69.80")).to_be_visible()
    held: list[Route] = []
    intercept(page, "GET", "/products", held.append)
    first.fill("3")
    second.fill("4")
    typing = second.element_handle()
    await_held(page, held, 1)
    with page.expect_event("requestfinished", lambda request: "ids=" in request.url):
        held[0].continue_()
    page.wait_for_timeout(200)  # a page that writes its own value there has done so by then
    expect(second).to_have_value("4")
    assert typing.evaluate("field => field === document.activeElement"), "another field is under the hands"
    page.context.unroute_all()
    second.press("Enter")
    expect(page.get_by_text("Total: €244.30")).to_be_visible()


def test_an_order_that_another_tab_is_sending_can_be_asked_for_and_is_placed_once(
    buyer: Page, customer: Client, product: Callable[[int], str]
) -> None:
    put_into_cart(buyer, product(9))
    fill_address(buyer)
    other = buyer.context.new_page()
    other.goto("/#/cart")
    held: list[Route] = []
    intercept(buyer, "POST", "/orders", held.append)
    buyer.get_by_role("button", name="Place order").click()
    other.get_by_role("button", name="Ask again").click()
    await_held(other, held, 2)
    for route in held:
        route.continue_()
    assert {shown_order(buyer), shown_order(other)} == set(ids_of(customer))
    assert len(ids_of(customer)) == 1


def test_an_order_whose_answer_comes_late_does_not_lead_away_from_another_page(
    buyer: Page, customer: Client, product: Callable[[int], str]
) -> None:
    put_into_cart(buyer, product(9))
    fill_address(buyer)
    held: list[Route] = []
    intercept(buyer, "POST", "/orders", held.append)
    buyer.get_by_role("button", name="Place order").click()
    await_held(buyer, held, 1)
    buyer.get_by_role("link", name="Products").click()
    products = buyer.get_by_role("heading", name="Products", level=1)
    expect(products).to_be_visible()
    held[0].continue_()
    expect(buyer.get_by_text("Your order is placed")).to_be_visible()
    expect(products).to_be_visible()
    assert len(ids_of(customer)) == 1


def test_after_the_last_repeat_the_customer_decides(
    buyer: Page, customer: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    put_into_cart(buyer, product(9))
    buyer.clock.install()
    buyer.reload()
    fill_address(buyer)
    complaints.announce("/orders", "ERR_FAILED")
    keys: list[str] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.abort()

    intercept(buyer, "POST", "/orders", lose)
    buyer.get_by_role("button", name="Place order").click()
    for number, seconds in enumerate(PAUSES, 1):
        expect(buyer.get_by_text(f"sent again in {seconds} s")).to_be_visible()
        until(lambda count=number: buyer.wait_for_timeout(10) or len(keys) == count, "it was sent")
        buyer.clock.run_for(seconds * 1000)
    expect(buyer.get_by_role("button", name="Ask again")).to_be_visible()
    assert (len(keys), len(set(keys)), ids_of(customer)) == (len(PAUSES) + 1, 1, [])
    buyer.get_by_role("button", name="Forget this attempt").click()
    fill_address(buyer)
    buyer.context.unroute_all()
    assert [place_order(buyer)] == ids_of(customer)


def test_a_product_that_is_no_longer_for_sale_can_be_removed_from_the_cart(
    buyer: Page, admin: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    gone = product(1)
    name = admin.get(f"/products/{gone}").json()["name"]
    put_into_cart(buyer, gone)
    put_into_cart(buyer, product(1))
    fill_address(buyer, note="Ring twice.")
    admin.request("DELETE", f"/products/{gone}")
    complaints.announce("status of 422", "/orders")
    buyer.get_by_role("button", name="Place order").click()
    expect(buyer.get_by_role("alert").filter(has_text="A product is no longer for sale.")).to_be_visible()
    expect(buyer.get_by_text("No longer for sale: please remove it.")).to_be_visible()
    buyer.get_by_role("button", name=f"Remove {name}").click()
    expect(buyer.get_by_label("Note")).to_have_value("Ring twice.")
    place_order(buyer)


def test_an_order_that_is_cancelled_while_its_buyer_wants_to_pay_is_not_paid(
    buyer: Page, admin: Client, customer: Client, order: str, complaints: Complaints
) -> None:
    held: list[Route] = []
    intercept(buyer, "POST", f"/orders/{order}/pay", held.append)
    buyer.goto(f"/#/orders/{order}")
    pay(buyer, "A card that pays")
    await_held(buyer, held, 1)
    assert admin.post(f"/orders/{order}/cancel").status_code == 200
    complaints.announce("status of 409", "/pay")
    held[0].continue_()
    expect(station(buyer, "Cancelled (done)")).to_contain_text("by an administrator")
    expect(buyer.get_by_role("button", name="Pay now")).to_have_count(0)
    assert customer.get(f"/orders/{order}").json()["payment"] is None


def test_an_order_that_is_cancelled_during_a_slow_payment_is_refunded(
    buyer: Page, admin: Client, order: str, complaints: Complaints
) -> None:
    buyer.goto(f"/#/orders/{order}")
    pay(buyer, "A card that pays slowly")
    expect(station(buyer, "Paid (under way)")).to_be_visible()
    assert admin.post(f"/orders/{order}/cancel").status_code == 200
    complaints.announce("status of 409", "/pay")
    expect(station(buyer, "Cancelled (done)")).to_be_visible()
    expect(station(buyer, "Refunded (done)")).to_be_visible()


def test_a_payment_goes_on_when_its_page_is_reloaded(buyer: Page, order: str) -> None:
    buyer.goto(f"/#/orders/{order}")
    pay(buyer, "A card that pays slowly")
    expect(station(buyer, "Paid (under way)")).to_be_visible()
    buyer.reload()
    expect(station(buyer, "Paid (done)")).to_be_visible()


def test_what_a_customer_does_is_shown_at_once_also_when_the_page_asks_seldom(buyer: Page, order: str) -> None:
    buyer.clock.install()
    asked: list[Request] = []
    path = f"/orders/{order}"
    buyer.on("requestfinished", lambda request: asked.append(request) if urlsplit(request.url).path == path else None)
    buyer.goto(f"/#{path}")
    shown_order(buyer)
    while len(asked) < 12:  # from then on, it asks every 20 s
        buyer.clock.run_for(1000)
    pay(buyer, "A card that pays")
    expect(station(buyer, "Paid (done)")).to_be_visible(timeout=8000)


def test_an_order_is_cancelled_only_by_someone_who_is_sure(buyer: Page, customer: Client, order: str) -> None:
    buyer.goto(f"/#/orders/{order}")
    buyer.once("dialog", lambda dialog: dialog.dismiss())
    buyer.get_by_role("button", name="Cancel the order").click()
    buyer.reload()
    expect(buyer.get_by_role("button", name="Pay now")).to_be_visible()
    assert customer.get(f"/orders/{order}").json()["status"] == "confirmed"


@pytest.mark.parametrize("status", [429, 500])
def test_the_page_of_an_order_goes_on_asking_after_a_failure(
    buyer: Page, customer: Client, order: str, complaints: Complaints, status: int
) -> None:
    buyer.goto(f"/#/orders/{order}")
    shown_order(buyer)
    complaints.announce(f"status of {status}", f"/orders/{order}")
    failed: list[Route] = []

    def fail_once(route: Route) -> None:
        if failed:
            return route.continue_()
        failed.append(route)
        return route.fulfill(status=status, headers={"Access-Control-Allow-Origin": "*"}, body="{}")

    intercept(buyer, "GET", f"/orders/{order}", fail_once)
    await_held(buyer, failed, 1)
    customer.post(f"/orders/{order}/pay", {"payment_method": "pm_card_ok"})
    expect(station(buyer, "Paid (done)")).to_be_visible()


def test_a_visitor_who_follows_a_link_to_an_order_signs_in_and_gets_there(
    page: Page, customer: Client, order: str
) -> None:
    page.goto(f"/#/orders/{order}")
    expect(page.get_by_text("You are not signed in.")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("E-mail").fill(customer.email)
    page.get_by_label("Password").fill(customer.password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    assert shown_order(page) == order


def test_the_order_of_somebody_else_is_not_there(
    visitor: Callable[..., Page], order: str, shop: Shop, complaints: Complaints
) -> None:
    stranger = Client(shop).register()
    page = visitor()
    sign_in(page, stranger)
    complaints.announce("status of 404", f"/orders/{order}")
    page.goto(f"/#/orders/{order}")
    expect(page.get_by_text("There is nothing here.")).to_be_visible()
    expect(page.get_by_role("button", name="Pay now")).to_have_count(0)
    stranger.close()


@pytest.mark.parametrize("path", ["products/none", "products/a%2Fb", "products/..%2Fcategories", "products/%E0%A4%A"])
def test_a_product_that_does_not_exist_is_not_there(page: Page, complaints: Complaints, path: str) -> None:
    complaints.announce("status of 404")
    page.goto(f"/#/{path}")
    expect(page.get_by_text("There is nothing here.")).to_be_visible()


@pytest.mark.parametrize("path", ["nowhere", "orders/1/2", "somewhere/cart", "/evil.example"])
def test_an_address_that_leads_nowhere_leads_back_to_the_shop(page: Page, path: str) -> None:
    page.goto(f"/#/{path}")
    expect(page.get_by_role("heading", name="There is no such page", level=1)).to_be_visible()
    page.get_by_role("link", name="To the products").click()
    expect(page.get_by_role("heading", name="Products", level=1)).to_be_focused()


def test_a_cart_outlives_the_session(
    buyer: Page, product: Callable[[int], str], customer: Client, complaints: Complaints
) -> None:
    put_into_cart(buyer, product(9))
    fill_address(buyer)
    other = buyer.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    expect(buyer.get_by_role("link", name="Sign in to order")).to_be_visible()
    expect(buyer.get_by_role("link", name="Cart (1)")).to_be_visible()
    expect(buyer.get_by_role("button", name="Place order")).to_have_count(0)
    assert stored(buyer).get("refresh token") is None


def test_somebody_who_signs_in_in_another_tab_is_signed_in_in_all(buyer: Page, admin: Client, order: str) -> None:
    buyer.goto("/#/orders")
    expect(buyer.get_by_role("link", name="Stock and prices")).to_have_count(0)
    other = buyer.context.new_page()
    sign_in(other, admin)
    expect(buyer.get_by_text(admin.email)).to_be_visible()
    expect(buyer.get_by_role("link", name="Stock and prices")).to_be_visible()
    expect(buyer.get_by_role("columnheader", name="Buyer")).to_be_visible()


def test_an_attempt_to_order_is_not_seen_by_the_next_user_of_the_browser(
    buyer: Page, product: Callable[[int], str], shop: Shop, complaints: Complaints
) -> None:
    put_into_cart(buyer, product(9))
    fill_address(buyer)
    complaints.announce("/orders", "ERR_FAILED")
    intercept(buyer, "POST", "/orders", lambda route: route.abort())
    buyer.get_by_role("button", name="Place order").click()
    expect(buyer.get_by_text("sent again in")).to_be_visible()
    next_one = Client(shop).register()
    other = buyer.context.new_page()
    sign_in(other, next_one)
    other.goto("/#/cart")
    expect(other.get_by_label("Street and number")).to_have_value("")
    expect(other.get_by_text("has not arrived")).to_have_count(0)
    next_one.close()


def test_too_many_wrong_passwords_are_answered_with_a_time_to_wait(
    page: Page, apis: dict[str, str], customer: Client, complaints: Complaints
) -> None:
    complaints.announce("status of 401", "/login")
    complaints.announce("status of 429", "/login")
    page.evaluate(TRY_PASSWORDS, [f"{apis['user-service']}/login", customer.email])
    page.goto("/#/sign-in")
    page.get_by_label("E-mail").fill(customer.email)
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="Too many requests. Please wait ")).to_be_visible()
