"""A service is away: the page says which one, keeps what works, and recovers without a reload."""

from playwright.sync_api import Page, expect

from tests.e2e.outages import away
from tests.e2e.shop import Shop
from tests.e2e.storefront.complaints import Complaints


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
