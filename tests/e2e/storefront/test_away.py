"""A service is away: the page says which one, keeps what works, and recovers without a reload."""

import json
import time
from collections.abc import Callable

from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.clients import Client
from tests.e2e.outages import away
from tests.e2e.shop import Shop
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.steps import fill_address, put_into_cart, shown_order, station

RETRY_AFTER = 4  # seconds; more than the page waits by itself


def test_without_product_service_the_page_says_so_until_it_is_back(
    page: Page, shop: Shop, apis: dict[str, str], complaints: Complaints
) -> None:
    buttons = page.get_by_role("button", name="to the cart")
    notice = page.get_by_text("product-service does not answer")
    expect(buttons.first).to_be_visible()
    complaints.announce(apis["product-service"])
    with away(shop, "product-service"):
        page.get_by_label("Search").fill("e")
        expect(notice.first).to_be_visible()
    expect(notice).to_have_count(0)
    expect(buttons.first).to_be_visible()


def test_without_product_service_the_cart_and_the_orders_stay_and_an_order_waits_for_it(
    buyer: Page,
    customer: Client,
    shop: Shop,
    apis: dict[str, str],
    product: Callable[[int], str],
    complaints: Complaints,
) -> None:
    before = customer.post("/orders", {"product_id": product(1), "quantity": 1}).json()["id"]
    put_into_cart(buyer, product(5))
    fill_address(buyer)
    complaints.announce(apis["product-service"])
    complaints.announce("status of 503", "/orders")
    with away(shop, "product-service"):
        buyer.get_by_role("button", name="Place order").click()
        expect(buyer.get_by_text("order-service does not reach product-service")).to_be_visible()
        expect(buyer.get_by_role("row").filter(has_text="Moka Pot")).to_be_visible()
        other = buyer.context.new_page()
        other.goto(f"/#/orders/{before}")
        expect(station(other, "Order placed (done)")).to_be_visible()
    assert shown_order(buyer) != before


def test_without_order_service_the_catalogue_and_the_cart_go_on(
    buyer: Page, shop: Shop, apis: dict[str, str], product: Callable[[int], str], complaints: Complaints
) -> None:
    complaints.announce(apis["order-service"])
    with away(shop, "order-service"):
        buyer.goto("/#/orders")
        expect(buyer.get_by_text("order-service does not answer").first).to_be_visible()
        put_into_cart(buyer, product(5))
        expect(buyer.get_by_role("link", name="Cart (1)")).to_be_visible()
        buyer.goto("/#/orders")
    expect(buyer.get_by_text("no orders here")).to_be_visible()
    expect(buyer.get_by_text("does not answer")).to_have_count(0)


def test_without_notification_service_an_order_is_placed_and_its_mails_show_up_later(
    buyer: Page, shop: Shop, apis: dict[str, str], product: Callable[[int], str], complaints: Complaints
) -> None:
    put_into_cart(buyer, product(5))
    fill_address(buyer)
    complaints.announce(apis["notification-service"])
    with away(shop, "notification-service"):
        buyer.get_by_role("button", name="Place order").click()
        shown_order(buyer)
        expect(buyer.get_by_text("notification-service does not answer").first).to_be_visible()
        expect(station(buyer, "Order placed").get_by_text("RabbitMQ (under way)")).to_be_visible()
    expect(station(buyer, "Order placed").get_by_text("E-mail (done)")).to_be_visible()


def test_a_service_is_asked_again_after_its_retry_after(
    page: Page, apis: dict[str, str], complaints: Complaints
) -> None:
    expect(page.get_by_role("button", name="to the cart").first).to_be_visible()
    asked: list[float] = []

    def refuse(route: Route) -> None:
        asked.append(time.monotonic())
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
        headers |= {"Retry-After": str(RETRY_AFTER), "Content-Type": "application/problem+json"}
        route.fulfill(status=503, headers=headers, body=json.dumps({"type": "unavailable", "detail": "away"}))

    def note(request: Request) -> None:
        if request.url == f"{apis['product-service']}/ready":
            asked.append(time.monotonic())

    page.on("request", note)
    complaints.announce("status of 503")
    page.route("**/products?**", refuse, times=1)
    page.get_by_label("Search").fill("coff")
    expect(page.get_by_text("product-service does not answer").first).to_be_visible()
    expect(page.get_by_role("button", name="Add Coffee Grinder to the cart")).to_be_visible()
    assert asked[1] - asked[0] >= RETRY_AFTER


def test_a_caller_over_the_limit_is_told_how_long_to_wait(page: Page, complaints: Complaints) -> None:
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After", "Retry-After": "42"}
    body = json.dumps({"type": "too-many-requests", "detail": "Too many attempts."})
    page.route("**/login", lambda route: route.fulfill(status=429, headers=headers, body=body))
    complaints.announce("status of 429")
    page.goto("/#/sign-in")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill("analytical engine")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="Please wait 42 s.")).to_be_visible()
