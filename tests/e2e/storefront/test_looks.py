"""Each page in each look: what axe-core and a phone find, and a picture of it to look at."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.clients import Client, notifications_of
from tests.e2e.shop import Shop
from tests.e2e.storefront.findings import findings
from tests.e2e.storefront.looks import looks
from tests.e2e.storefront.steps import put_into_cart, sign_in, station

VISITORS = {"products": "/#/", "product": "/#/products/demo-2", "cart": "/#/cart", "sign-in": "/#/sign-in"}
VISITORS |= {"register": "/#/register", "missing": "/#/missing"}
ADMINISTRATORS = {"stock": "/#/stock", "editor": "/#/stock/demo-2", "new-product": "/#/stock/new"}
ADMINISTRATORS |= {"orders-of-all": "/#/orders", "notifications": "/#/notifications", "users": "/#/users"}


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
    page: Page, admin: Client, customer: Client, shop: Shop, product: Callable[[int], str]
) -> None:
    customer.post("/orders", {"product_id": product(1), "quantity": 1})
    notifications_of(customer, 2)
    admin.email = shop.admin_email
    sign_in(page, admin, shop.admin_password)
    for name, address in ADMINISTRATORS.items():
        page.goto(address)
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
    page.goto("/#/orders")
    check(page, "orders")


def test_a_page_can_be_read_at_twice_its_size(visitor: Callable[..., Page]) -> None:
    page = visitor(viewport={"width": 640, "height": 450}, device_scale_factor=2)  # what 200 % of 1280 px leave
    page.goto("/")
    check(page, "products-zoomed")
