"""Each page in each look: what axe-core and a phone find, and a picture of it to look at."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.clients import Client, notifications_of
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.findings import findings
from tests.e2e.storefront.looks import looks, picture
from tests.e2e.storefront.steps import put_into_cart, sign_in, station

VISITORS = {"products": "/#/", "product": "/#/products/demo-2", "cart": "/#/cart", "sign-in": "/#/sign-in"}
VISITORS |= {"register": "/#/register", "missing": "/#/missing"}
ADMINISTRATORS = {"stock": "/#/stock", "editor": "/#/stock/demo-2", "new-product": "/#/stock/new"}
ADMINISTRATORS |= {"orders-of-all": "/#/orders", "notifications": "/#/notifications", "users": "/#/users"}


def open_anew(page: Page, address: str) -> None:
    """Load the whole page again: one can only wait for the end of all requests where they follow a load."""
    page.goto(address)
    page.reload()


def check(page: Page, name: str) -> None:
    """Check a page that is complete in each look."""
    expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    found = {look: findings(page) for look in looks(page, name)}
    assert {look: texts for look, texts in found.items() if texts} == {}


@pytest.mark.parametrize("name", VISITORS)
def test_nothing_is_wrong_with_a_page_of_a_visitor(visitor: Callable[..., Page], name: str) -> None:
    page = visitor()
    page.goto(VISITORS[name])
    check(page, name)


def test_nothing_is_wrong_with_the_pages_of_an_administrator(
    page: Page, admin: Client, customer: Client, product: Callable[[int], str]
) -> None:
    customer.post("/orders", {"product_id": product(1), "quantity": 1})
    notifications_of(customer, 2)
    sign_in(page, admin)
    for name, address in ADMINISTRATORS.items():
        open_anew(page, address)
        check(page, name)


def test_nothing_is_wrong_with_the_pages_of_a_customer(
    page: Page, customer: Client, product: Callable[[int], str]
) -> None:
    order = customer.post("/orders", {"product_id": product(1), "quantity": 1, "note": "W" * 300}).json()["id"]
    sign_in(page, customer)
    put_into_cart(page, product(1))
    page.goto("/#/cart")
    expect(page.get_by_role("button", name="Place order")).to_be_visible()
    check(page, "cart-with-address")
    page.goto(f"/#/orders/{order}")
    expect(station(page, "Order placed").get_by_text("E-mail")).to_be_visible()
    check(page, "order")
    open_anew(page, "/#/orders")
    check(page, "orders")


def test_a_page_can_be_read_at_twice_its_size(visitor: Callable[..., Page]) -> None:
    page = visitor(viewport={"width": 640, "height": 450}, device_scale_factor=2)  # what 200 % of 1280 px leave
    page.goto("/")
    check(page, "products-zoomed")


def test_on_a_phone_and_in_german_nothing_is_too_long(visitor: Callable[..., Page], admin: Client) -> None:
    long = "W" * 100
    made = {"name": long * 2, "price": "9999999.99", "stock": 10**9, "description": long * 50, "category": long}
    product = admin.post("/products", {**made, "sku": long}).json()["id"]
    address = dict.fromkeys(("name", "line1", "line2", "city", "region"), long) | {"country": "GB"}
    body = {"product_id": product, "quantity": 1000, "shipping_address": address, "note": long * 10}
    order = admin.post("/orders", body).json()["id"]
    assert admin.post(f"/orders/{order}/pay", {"payment_method": "pm_card_ok"}).status_code == 200
    assert admin.post(f"/orders/{order}/ship", {"carrier": long, "tracking_number": long}).status_code == 200
    page = visitor(viewport={"width": 360, "height": 740})
    sign_in(page, admin)
    put_into_cart(page, product)
    page.get_by_label("Language").select_option("de")
    paths = {"product": f"products/{product}", "cart": "cart", "order": f"orders/{order}", "editor": f"stock/{product}"}
    for name, path in {**paths, **{each: each for each in ("orders", "stock", "notifications", "users")}}.items():
        open_anew(page, f"/#/{path}")
        page.wait_for_load_state("networkidle")
        picture(page, f"{name}.german.360")
        assert (name, findings(page)) == (name, [])
    admin.request("DELETE", f"/products/{product}")


def test_nothing_is_wrong_with_a_conflict(
    page: Page, admin: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    sign_in(page, admin)
    page.goto(f"/#/stock/{(pot := product(5))}")
    expect(page.get_by_role("heading", name="Change the product")).to_be_visible()  # the catalogue has prices as well
    expect(page.get_by_label("Price")).to_have_value("34.90")
    page.get_by_label("Stock").fill("8")
    admin.request("PATCH", f"/products/{pot}", json={"price": "99.00"})
    complaints.announce("status of 412")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Somebody else")).to_be_visible()
    check(page, "conflict")
