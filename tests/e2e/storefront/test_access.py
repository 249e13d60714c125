"""The page without a mouse, without eyes, in another language."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.e2e.clients import Client
from tests.e2e.storefront.steps import ADDRESS, shown_order, sign_in, station, tab_to


def test_a_whole_order_needs_only_the_keyboard(page: Page, customer: Client, product: Callable[[int], str]) -> None:
    sign_in(page, customer)
    page.goto(f"/#/products/{product(5)}")
    expect(page.get_by_role("heading", name="Moka Pot", level=1)).to_be_focused()
    tab_to(page, page.get_by_role("button", name="to the cart"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Cart (1)"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cart", level=1)).to_be_focused()
    for label, text in ADDRESS.items():
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(text)
    tab_to(page, page.get_by_label("Country"))
    page.keyboard.type("United King")
    tab_to(page, page.get_by_role("button", name="Place order"))
    page.keyboard.press("Enter")
    shown_order(page)
    expect(page.get_by_role("heading", name="Order", level=1)).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Pay now"))
    page.keyboard.press("Space")
    expect(station(page, "Paid (done)")).to_be_visible()


def test_the_focus_stays_where_something_was_changed(page: Page) -> None:
    for name in ("Desk Lamp", "Cast Iron Pan"):
        page.get_by_role("button", name=f"Add {name} to the cart").click()
    page.goto("/#/cart")
    quantity = page.get_by_label("Quantity of Desk Lamp")
    quantity.fill("3")
    quantity.press("Enter")
    expect(page.get_by_text("Total: €164.85")).to_be_visible()
    expect(quantity).to_be_focused()
    page.get_by_role("button", name="Remove Desk Lamp").press("Enter")
    expect(page.get_by_text("Total: €45.00")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Cast Iron Pan")).to_be_focused()


def test_the_first_key_leads_past_the_navigation(page: Page) -> None:
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("button", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Search")).to_be_focused()


def test_a_screen_reader_is_told_what_changes(page: Page) -> None:
    status = page.get_by_role("status")
    expect(status.filter(has_text="products shown")).to_be_visible()
    page.get_by_role("button", name="Add Coffee Grinder to the cart").click()
    expect(status.filter(has_text="Coffee Grinder is in your cart.")).to_be_visible()
    page.get_by_label("Search").fill("coffee grinder")
    expect(status.filter(has_text="1 product shown")).to_be_visible()


def test_back_and_forward_show_the_pages_again(page: Page) -> None:
    page.get_by_role("link", name="Desk Lamp").click()
    expect(page).to_have_title("Desk Lamp · Example Shop")
    page.go_back()
    expect(page).to_have_title("Products · Example Shop")
    page.go_forward()
    expect(page).to_have_title("Desk Lamp · Example Shop")


def test_the_page_speaks_german(visitor: Callable[..., Page]) -> None:
    page = visitor(locale="de-AT")
    page.goto("/")
    expect(page.get_by_role("heading", name="Waren", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_label("Sprache").select_option("en")
    expect(page.get_by_role("heading", name="Products", level=1)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Products", level=1)).to_be_visible()


def test_filters_are_part_of_the_address(page: Page) -> None:
    page.get_by_label("Category").select_option("audio")
    page.get_by_label("Sort by").select_option("-price")
    expect(page.get_by_role("heading", level=2).first).to_have_text("Noise-cancelling Headphones")
    page.get_by_label("Price up to").fill("100")
    expect(page.get_by_role("heading", level=2)).to_have_text(["Bluetooth Speaker"])
    page.reload()
    expect(page.get_by_role("heading", level=2)).to_have_text(["Bluetooth Speaker"])
    expect(page.get_by_label("Category")).to_have_value("audio")


def test_a_long_list_has_more_on_demand(page: Page, admin: Client) -> None:
    bodies = [{"name": f"Filler {number}", "price": "1.00", "stock": 1} for number in range(21)]
    made = [admin.post("/products", body).json()["id"] for body in bodies]
    page.get_by_label("Search").fill("filler")
    expect(page.get_by_role("listitem").filter(has_text="Filler")).to_have_count(20)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("listitem").filter(has_text="Filler")).to_have_count(21)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)
    for product in made:
        admin.request("DELETE", f"/products/{product}")
