"""Browsers for the tests of the page. Each test starts with empty ones, and fails if they complain of anything."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.clients import Client
from tests.e2e.shop import Shop
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.looks import picture
from tests.e2e.storefront.steps import sign_in
from tools import apt

PATIENCE = 20_000  # ms; the tests share a machine with others


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser without a window. It ends with this folder: others may need a thread without Playwright's loop."""
    program = apt.chromium()
    if not program:
        pytest.skip(apt.CHROMIUM_ADVICE)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program)  # without a sandbox, which root cannot have
        yield running
        running.close()


@pytest.fixture(scope="session")
def apis(shop: Shop) -> dict[str, str]:
    """The URL of each service, by name, as the page knows it."""
    urls: dict[str, str] = requests.get(f"{shop.storefront_url}/services.json", timeout=10).json()
    return urls


@pytest.fixture
def complaints(shop: Shop, apis: dict[str, str]) -> Iterator[Complaints]:
    """The complaints of the test's browsers. At its end, each must have been announced, and the other way round."""
    noted = Complaints([shop.storefront_url, *apis.values()])
    yield noted
    wrong = noted.unannounced() + noted.missing()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def visitor(
    browser: Browser, shop: Shop, complaints: Complaints, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Page]]:
    """Start a browser of somebody's own, with nothing in it, and return its empty tab."""
    contexts = []
    failures = request.session.testsfailed

    def start(**options: Any) -> Page:
        context = browser.new_context(
            base_url=shop.storefront_url, **({"locale": "en-GB", "reduced_motion": "reduce"} | options)
        )
        context.set_default_timeout(PATIENCE)
        complaints.listen(context)
        contexts.append(context)
        return context.new_page()

    yield start
    tabs = [tab for context in contexts for tab in context.pages]
    for number, tab in enumerate(tabs if request.session.testsfailed > failures else ()):
        picture(tab, f"failed.{request.node.name.replace('/', '-')}.{number}")
    for context in contexts:
        context.close()


@pytest.fixture
def page(visitor: Callable[..., Page]) -> Page:
    """The shop as somebody sees it who comes for the first time."""
    tab = visitor()
    tab.goto("/")
    return tab


@pytest.fixture
def order(customer: Client, product: Callable[[int], str]) -> str:
    """An order of the customer that is not paid yet."""
    placed = customer.post("/orders", {"product_id": product(9), "quantity": 1})
    assert placed.status_code == 201, placed.text
    return str(placed.json()["id"])


@pytest.fixture
def buyer(page: Page, customer: Client) -> Page:
    """A page on which a customer is signed in."""
    sign_in(page, customer)
    return page
