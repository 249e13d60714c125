"""Make the README's screenshots: `./dev up --detach`, then `.venv/bin/python docs/images/make_screenshots.py`."""

import base64
import html
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Page, sync_playwright

from tools import apt

HERE = Path(__file__).resolve().parent
SHOP = "http://localhost:8080"
CHAOS = ("./dev", "chaos", "--seconds", "60", "--seed", "1")
TERMINAL = "margin:16px; background:#1b1f27; color:#d8dee9; font:12px/18px monospace; white-space:pre-wrap"
SIDE_BY_SIDE = "margin:0; display:flex; gap:16px; align-items:flex-start; background:#fff"
GET_MESSAGES = """
for (const title of document.querySelectorAll('h2')) if (/Overview|Get messages/.test(title.textContent)) title.click();
document.querySelector('form[action="#/queues/get"] [type=submit]').click();
document.head.insertAdjacentHTML('beforeend', '<style>pre.msg-payload {white-space: pre-wrap}</style>')"""


@contextmanager
def empty_page() -> Iterator[Page]:
    """Open an empty page in a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=apt.chromium())
        yield browser.new_page(viewport={"width": 1200, "height": 900}, locale="en-GB")
        browser.close()


def save(page: Page, name: str, height: int) -> None:
    """Save the upper part of what a page shows as a picture."""
    page.screenshot(path=HERE / name, full_page=True, clip={"x": 0, "y": 0, "width": 1200, "height": height})


def storefront(page: Page) -> None:
    """Buy two things as a newcomer; save the catalogue beside the order, a second after it was paid."""
    page.set_viewport_size({"width": 1100, "height": 1000})
    page.goto(SHOP)
    page.get_by_role("button", name="Add Coffee Grinder to the cart").click()
    page.get_by_role("button", name="Add Desk Lamp to the cart").click()
    page.get_by_role("heading", level=1).focus()
    page.wait_for_timeout(7000)  # until the announcement has gone
    catalogue = page.screenshot()
    page.goto(f"{SHOP}/#/register?next=/cart")
    account = {
        "E-mail": f"ada.{time.time_ns() % 10**5}@example.com",
        "Password": "analytical engine",
        "Phone": "+44 20 7946 0000",
    }
    for label, text in account.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Register").click()
    page.get_by_role("button", name="Place order").wait_for()
    for label, text in {"Name": "Ada Lovelace", "Street": "12 St James's Square", "City": "London"}.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Country").select_option("GB")
    page.get_by_role("button", name="Place order").click()
    page.get_by_role("button", name="Pay now").click()
    page.wait_for_timeout(7000)
    show_side_by_side(page, catalogue, page.screenshot())
    page.screenshot(path=HERE / "storefront.png", full_page=True)


def show_side_by_side(page: Page, *pictures: bytes) -> None:
    """Show some pictures in one row."""
    page.goto("about:blank")
    page.set_viewport_size({"width": 1200, "height": 100})
    sources = [f"data:image/png;base64,{base64.b64encode(picture).decode()}" for picture in pictures]
    images = "".join(f'<img src="{source}" style="width:592px; border:1px solid #d5dae2">' for source in sources)
    page.set_content(f'<body style="{SIDE_BY_SIDE}">{images}')


def swagger_ui(page: Page) -> None:
    """Save the description of an API."""
    page.goto("http://localhost:5003/docs")
    page.wait_for_timeout(3000)
    save(page, "swagger-ui.png", 720)


def rabbitmq(page: Page) -> None:
    """Order something, and save its event in RabbitMQ's dashboard."""
    ada = {"email": f"ada-{time.time_ns()}@example.com", "password": "analytical engine"}
    post("http://localhost:5002/register", ada)
    session = post("http://localhost:5002/login", ada)
    post("http://localhost:5003/orders", {"product_id": "demo-2", "quantity": 2}, session["access_token"])
    page.goto("http://localhost:15672/")
    page.locator("[name=username]").fill("guest")
    page.locator("[name=password]").fill("guest")
    page.locator("[type=submit]").click()
    page.wait_for_timeout(2000)
    page.goto("http://localhost:15672/#/queues/%2F/events.recent")
    page.wait_for_timeout(3000)
    page.evaluate(GET_MESSAGES)
    page.wait_for_timeout(2000)
    save(page, "rabbitmq.png", 840)


def chaos(page: Page) -> None:
    """Save what a run of ./dev chaos prints."""
    output = subprocess.check_output(CHAOS, cwd=HERE.parent.parent, text=True)  # noqa: S603
    page.set_content(f'<body style="{TERMINAL}">{html.escape("$ " + " ".join(CHAOS) + chr(10) + output)}')
    save(page, "chaos.png", 18 * output.count("\n") + 68)


def post(url: str, body: dict[str, Any], token: str = "") -> Any:
    """Post JSON to a service of this machine and return its answer."""
    return requests.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()


if __name__ == "__main__":
    for make in (storefront, swagger_ui, rabbitmq, chaos):
        with empty_page() as shown:
            make(shown)
