"""The steps of people on the page, by its English texts."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.clients import Client

ADDRESS = {"Name": "Ada Lovelace", "Street and number": "12 St James's Square", "City": "London"}
MAX_TABS = 80  # presses of the Tab key


def sign_in(page: Page, client: Client) -> None:
    """Sign in with somebody's account."""
    page.goto("/#/sign-in")
    page.get_by_label("E-mail").fill(client.email)
    page.get_by_label("Password").fill(client.password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page).to_have_url(re.compile("#/$"))


def put_into_cart(page: Page, product_id: str) -> None:
    """Put a unit of a product into the cart."""
    page.goto(f"/#/products/{product_id}")
    page.get_by_role("button", name="to the cart").click()
    expect(page.get_by_text("is in your cart")).to_be_visible()


def fill_address(page: Page, note: str = "") -> None:
    """Go to the cart and say where to ship it."""
    page.goto("/#/cart")
    for label, text in ADDRESS.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Country").select_option("GB")
    page.get_by_label("Note").fill(note)


def place_order(page: Page) -> str:
    """Send the order, and return its id when its page is there."""
    page.get_by_role("button", name="Place order").click()
    return shown_order(page)


def shown_order(page: Page) -> str:
    """Return the id of the order whose page is shown."""
    expect(page).to_have_url(re.compile("#/orders/"))
    expect(station(page, "Order placed")).to_be_visible()
    return page.url.rpartition("/")[2]


def pay(page: Page, card: str) -> None:
    """Pay the order that is shown with a test card."""
    page.get_by_label("Test card").select_option(card)
    page.get_by_role("button", name="Pay now").click()


def station(page: Page, name: str) -> Locator:
    """Return a station of the order's way."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name))


def tab_to(page: Page, target: Locator) -> None:
    """Press the Tab key until something has the focus, and check that one can see it."""
    for _ in range(MAX_TABS):
        if target.evaluate_all("found => found.includes(document.activeElement)"):
            assert target.evaluate("found => getComputedStyle(found).outlineStyle") == "solid", "the focus is invisible"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with the Tab key")


def stored(page: Page) -> dict[str, Any]:
    """Return everything that the browser keeps for the page."""
    kept: dict[str, Any] = page.evaluate(
        """async () => {
          const found = { ...localStorage, ...sessionStorage, cookies: document.cookie };
          for (const { name } of await indexedDB.databases()) {
            const database = await new Promise((resolve) => {
              const request = indexedDB.open(name);
              request.onsuccess = () => resolve(request.result);
            });
            for (const store of database.objectStoreNames) {
              const records = database.transaction(store).objectStore(store);
              await new Promise((resolve) => {
                records.openCursor().onsuccess = ({ target: { result: cursor } }) => {
                  if (!cursor) return resolve();
                  found[cursor.key] = cursor.value;
                  cursor.continue();
                };
              });
            }
            database.close();
          }
          return found;
        }"""
    )
    return kept
