"""The other tests rely on it: whatever goes wrong in a browser is noted, and a bad page has findings."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.findings import findings
from tests.waiting import until

SHOP = "http://shop.test"
POLICY = "default-src 'none'; script-src 'self'; connect-src *; require-trusted-types-for 'script'"
BAD_PAGE = """<html><meta name="viewport" content="width=500"><img src="data:,">
<p style="color: #ccc; width: 9999px">pale and wide</p>
<button style="width: 9px; height: 9px; padding: 0"></button><button style="width: 9px; height: 9px"></button></html>"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser for which a shop exists that only this test knows."""
    made = browser.new_context()
    made.route(f"{SHOP}/gone", lambda route: route.fulfill(status=410))
    made.route(f"{SHOP}/reset", lambda route: route.abort("connectionreset"))
    made.route("http://elsewhere.test/", lambda route: route.fulfill(headers={"Access-Control-Allow-Origin": "*"}))
    yield made
    made.close()


@pytest.fixture
def opened(context: BrowserContext) -> Callable[[str], Page]:
    def opened(html: str) -> Page:
        headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
        context.route(f"{SHOP}/", lambda route: route.fulfill(body=html, headers=headers))
        page = context.new_page()
        page.goto(f"{SHOP}/")
        return page

    return opened


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("console.error('what')", "console: what"),
        ("setTimeout(() => { throw Error('what') })", "exception: what"),
        ("Promise.reject(Error('what'))", "exception: what"),
        ("document.body.innerHTML = '<p>'", "TrustedHTML"),
        ("document.body.append(document.createElement('style'))", "violates the following Content Security Policy"),
        ("fetch('/gone')", "status of 410 (Gone) (http://shop.test/gone)"),
        ("fetch('/reset').catch(() => {})", "failed request: GET http://shop.test/reset: net::ERR_CONNECTION_RESET"),
        ("fetch('http://elsewhere.test/')", "foreign host: GET http://elsewhere.test/"),
    ],
)
def test_a_complaint_of_the_browser_is_noted(
    context: BrowserContext, opened: Callable[[str], Page], action: str, complaint: str
) -> None:
    noted = Complaints([SHOP])
    noted.listen(context)
    page = opened("<h1>Shop</h1>")
    assert noted.unannounced() == []
    page.evaluate(f"setTimeout(() => {{ {action} }})")
    until(lambda: complaint in str(noted_now(noted, page)), "it is noted", seconds=10)
    noted.announce(complaint)
    assert complaint not in str(noted.unannounced())


def noted_now(noted: Complaints, page: Page) -> list[str]:
    page.wait_for_timeout(10)  # Playwright hands over what has happened
    return noted.unannounced()


def test_an_announced_complaint_that_does_not_come_is_missing() -> None:
    noted = Complaints([SHOP])
    noted.announce("status of 503", "/orders")
    assert noted.missing() == ["announced only: status of 503, /orders"]


@pytest.fixture(scope="module")
def bad_page(browser: Browser) -> list[str]:
    """Return the findings on a page with all kinds of mistakes."""
    page = browser.new_page()
    page.set_content(BAD_PAGE)
    found = findings(page)
    page.close()
    return found


@pytest.mark.parametrize(
    "finding",
    [
        "no language",
        "no title",
        "no description",
        "no viewport for phones",
        "not one h1",
        "scrolls to the side",
        "image without text or size: data:,",
        "image that does not show: data:,",
        "image-alt (critical)",
        "button-name (critical)",
        "color-contrast (serious)",
        "target-size (serious)",
    ],
)
def test_what_is_wrong_with_a_page_is_found(bad_page: list[str], finding: str) -> None:
    assert any(text.startswith(finding) for text in bad_page), bad_page
