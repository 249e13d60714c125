"""Signing in: several tabs, tokens that end, a service that is away, a session that was ended elsewhere."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, Request, expect

from tests.e2e.clients import Client
from tests.e2e.outages import away
from tests.e2e.shop import Shop
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.steps import sign_in, stored

LIFETIME = "15:00"  # of an access token


def refreshes(page: Page) -> list[Request]:
    """Return a list to which each refresh of the tokens in this browser will be added."""
    sent: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/refresh"):
            sent.append(request)

    page.context.on("request", note)
    return sent


def test_one_tab_refreshes_for_all_and_nobody_is_signed_out(visitor: Callable[..., Page], customer: Client) -> None:
    first = visitor()
    first.context.clock.install()
    sign_in(first, customer)
    tabs = [first, *(first.context.new_page() for _ in range(2))]
    for tab in tabs:
        tab.goto("/#/orders")
        expect(tab.get_by_text("no orders here")).to_be_visible()
    for path in ("#/orders?status=paid", "#/orders?status=shipped"):
        sent = refreshes(first)
        first.context.clock.fast_forward(LIFETIME)
        for tab in tabs:
            tab.evaluate("path => setTimeout(() => (location.hash = path))", path)
        first.context.clock.fast_forward("00:01")
        for tab in tabs:
            expect(tab).to_have_url(re.compile(re.escape(path)))
            expect(tab.get_by_text("no orders here")).to_be_visible()
            expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
        assert len(sent) == 1, "each tab has used a token of its own"


def test_a_reload_keeps_the_visitor_signed_in(page: Page, customer: Client) -> None:
    sign_in(page, customer)
    page.reload()
    expect(page.get_by_text(customer.email)).to_be_visible()


def test_signing_out_in_one_tab_signs_out_in_all(page: Page, customer: Client, shop: Shop) -> None:
    sign_in(page, customer)
    other = page.context.new_page()
    other.goto("/#/orders")
    expect(other.get_by_text(customer.email)).to_be_visible()
    token = stored(page)["refresh token"]
    page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    assert customer.post("/refresh", {"refresh_token": token}).status_code == 401


def test_a_wrong_password_is_said_and_nobody_is_signed_in(page: Page, customer: Client, complaints: Complaints) -> None:
    complaints.announce("status of 401")
    page.goto("/#/sign-in")
    page.get_by_label("E-mail").fill(customer.email)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="is wrong")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_an_address_that_has_an_account_is_said_at_registration(
    page: Page, customer: Client, complaints: Complaints
) -> None:
    complaints.announce("status of 409")
    page.goto("/#/register")
    page.get_by_label("E-mail").fill(customer.email)
    page.get_by_label("Password").fill("analytical engine")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert").filter(has_text="an account with this e-mail")).to_be_visible()


def test_a_session_that_was_ended_elsewhere_ends_here(
    visitor: Callable[..., Page], customer: Client, complaints: Complaints
) -> None:
    page = visitor()
    page.context.clock.install()
    sign_in(page, customer)
    change = {"current_password": customer.password, "new_password": "another analytical engine"}
    assert customer.post("/users/me/password", change).status_code == 204
    complaints.announce("status of 401")
    page.context.clock.fast_forward(LIFETIME)
    page.goto("/#/orders")
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.get_by_text("You are not signed in.")).to_be_visible()
    assert stored(page).get("refresh token") is None


def test_without_user_service_a_signed_in_visitor_works_on_and_a_reload_waits_for_it(
    page: Page, customer: Client, shop: Shop, apis: dict[str, str], complaints: Complaints
) -> None:
    sign_in(page, customer)
    complaints.announce(apis["user-service"])
    with away(shop, "user-service"):
        page.goto("/#/orders")
        expect(page.get_by_text("no orders here")).to_be_visible()
        page.reload()
        expect(page.get_by_text("user-service does not answer").first).to_be_visible()
        page.goto("/#/")
        expect(page.get_by_role("button", name="to the cart").first).to_be_visible()
    expect(page.get_by_text(customer.email)).to_be_visible()
    expect(page.get_by_text("does not answer")).to_have_count(0)
