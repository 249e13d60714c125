"""The first view of the shop is small and quick, and a reload transfers only what has changed."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Request

MAX_BYTES = 150_000  # of everything: HTML, CSS, scripts, texts, answers of the services, pictures
MAX_SECONDS = 1.0  # until products are there, and until the largest part is painted
MAX_SHIFT = 0.1  # of the layout, which Web Vitals call good
ATTEMPTS = 3  # the best of them counts: the tests share a machine with others
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 90_000}  # ms, bytes/s: 3G
MEASURES = """async () => {
  const entries = { "largest-contentful-paint": [], "layout-shift": [] };
  for (const [type, found] of Object.entries(entries))
    new PerformanceObserver((list) => found.push(...list.getEntries())).observe({ type, buffered: true });
  await new Promise((done) => setTimeout(done, 100));
  const shifts = entries["layout-shift"].map((shift) => shift.value);
  return [entries["largest-contentful-paint"].at(-1).startTime / 1000, shifts.reduce((sum, one) => sum + one, 0)];
}"""


@dataclass(frozen=True)
class View:
    """Measures of one first view: seconds until products were there, and until the largest part was painted."""

    products: float
    largest_paint: float
    shift: float
    transferred: int


def first_view(page: Page) -> View:
    """Open the shop in an empty browser."""
    requests = transfers(page)
    page.goto("/", wait_until="commit")
    page.get_by_role("button", name="to the cart").first.wait_for()
    products = page.evaluate("performance.now() / 1000")
    page.wait_for_load_state("networkidle")
    largest_paint, shift = page.evaluate(MEASURES)
    return View(products, largest_paint, shift, sum(map(size, requests)))


def transfers(page: Page) -> list[Request]:
    """Return a list to which each finished request of a page will be added."""
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    return finished


def size(request: Request) -> int:
    """Return how many bytes an answer had on its way, compressed, with its headers."""
    sizes = request.sizes()
    return sizes["responseHeadersSize"] + sizes["responseBodySize"]


@pytest.fixture
def views(visitor: Callable[..., Page]) -> list[View]:
    return [first_view(visitor()) for _ in range(ATTEMPTS)]


def test_the_first_view_is_small_and_quick_and_stays_where_it_is(views: list[View]) -> None:
    assert max(view.transferred for view in views) <= MAX_BYTES
    assert min(view.products for view in views) < MAX_SECONDS
    assert min(view.largest_paint for view in views) < MAX_SECONDS
    assert max(view.shift for view in views) < MAX_SHIFT


def test_on_a_slow_network_the_first_view_stays_where_it_is(visitor: Callable[..., Page]) -> None:
    page = visitor()
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    view = first_view(page)
    assert (view.products > 0.3, view.shift < MAX_SHIFT) == (True, True), view


def test_a_reload_transfers_no_file_again(page: Page, apis: dict[str, str]) -> None:
    page.wait_for_load_state("networkidle")
    requests = transfers(page)
    page.reload()
    page.wait_for_load_state("networkidle")
    own = [each for each in requests if not each.url.startswith((*apis.values(), "data:"))]
    again = [each.url for each in own if not each.url.endswith("/services.json") and each.sizes()["responseBodySize"]]
    assert (again, len(own) > 2) == ([], True)
