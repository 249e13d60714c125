"""Each page in each look: what axe-core and a phone find, and a picture of it to look at."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.storefront.findings import findings
from tests.e2e.storefront.looks import looks

PAGES = {"products": "/#/", "cart": "/#/cart", "sign-in": "/#/sign-in", "register": "/#/register"}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong_with_a_page_of_a_visitor(visitor: Callable[..., Page], name: str) -> None:
    page = visitor()
    page.goto(PAGES[name])
    expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    found = {look: findings(page) for look in looks(page, name)}
    assert {look: texts for look, texts in found.items() if texts} == {}
