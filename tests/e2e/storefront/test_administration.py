"""An administrator's work: stock and prices, orders to ship, everybody's notifications, users and roles."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.clients import Client
from tests.e2e.storefront.complaints import Complaints
from tests.e2e.storefront.steps import sign_in


@pytest.fixture
def office(page: Page, admin: Client) -> Page:
    """A page on which the administrator is signed in."""
    sign_in(page, admin)
    return page


def test_a_product_is_added_and_its_stock_and_price_are_changed(office: Page, admin: Client) -> None:
    office.get_by_role("link", name="Stock and prices").click()
    office.get_by_role("link", name="New product").click()
    office.get_by_label("Name").fill("Travel Mug")
    office.get_by_label("Price").fill("14.5")
    office.get_by_label("Stock").fill("3")
    office.get_by_role("button", name="Save").click()
    expect(office.get_by_role("heading", name="Change the product")).to_be_visible()
    product = office.url.rpartition("/")[2]
    office.get_by_label("Price").fill("15.00")
    office.get_by_label("Stock").fill("40")
    with office.expect_response(lambda response: response.request.method == "PATCH"):  # it was saved once before
        office.get_by_role("button", name="Save").click()
    expect(office.get_by_text("Travel Mug is saved")).to_be_visible()
    expect(office.get_by_label("Price")).to_have_value("15.00")
    now = admin.get(f"/products/{product}").json()
    assert (now["price"], now["stock"]) == ("15.00", 40)
    admin.request("DELETE", f"/products/{product}")


def test_two_administrators_do_not_overwrite_each_other(
    office: Page, admin: Client, product: Callable[[int], str], complaints: Complaints
) -> None:
    office.goto(f"/#/stock/{(pot := product(5))}")
    expect(office.get_by_label("Stock")).to_have_value("5")
    assert admin.request("PATCH", f"/products/{pot}", json={"price": "99.00"}).status_code == 200
    complaints.announce("status of 412")
    office.get_by_label("Stock").fill("8")
    office.get_by_role("button", name="Save").click()
    alert = office.get_by_role("alert").filter(has_text="Somebody else has changed this product")
    expect(alert.get_by_role("row").filter(has_text="Price")).to_contain_text("99.00")
    expect(alert.get_by_role("row").filter(has_text="Stock")).to_contain_text("8")
    expect(office.get_by_label("Price")).to_have_value("99.00")
    now = admin.get(f"/products/{pot}").json()
    assert (now["price"], now["stock"]) == ("99.00", 5)
    office.get_by_label("Stock").fill("8")
    office.get_by_role("button", name="Save").click()
    expect(office.get_by_text("is saved")).to_be_visible()
    now = admin.get(f"/products/{pot}").json()
    assert (now["price"], now["stock"]) == ("99.00", 8)


def test_low_stock_is_listed(office: Page, admin: Client, product: Callable[[int], str]) -> None:
    names = {stock: admin.get(f"/products/{product(stock)}").json()["name"] for stock in (3, 30)}
    office.goto("/#/stock")
    office.get_by_role("link", name="Low stock").click()
    expect(office.get_by_role("row").filter(has_text=names[3])).to_be_visible()
    expect(office.get_by_role("row").filter(has_text=names[30])).to_have_count(0)


def test_a_paid_order_is_shipped_with_its_tracking_and_delivered(
    office: Page, customer: Client, product: Callable[[int], str]
) -> None:
    address = {"name": "Ada", "line1": "12 St James's Square", "city": "London", "country": "GB"}
    body = {"product_id": product(5), "quantity": 1, "shipping_address": address}
    order = customer.post("/orders", body).json()["id"]
    customer.post(f"/orders/{order}/pay", {"payment_method": "pm_card_ok"})
    office.goto("/#/orders")
    office.get_by_label("Status").select_option("paid")
    row = office.get_by_role("row").filter(has_text=customer.email)
    expect(row).to_contain_text("12 St James's Square, London, GB")
    row.get_by_role("link").click()
    office.get_by_label("Carrier").fill("Parcel Post")
    office.get_by_label("Tracking number").fill("PP1")
    office.get_by_label("Tracking link").fill("https://parcels.example.com/PP1")
    office.get_by_role("button", name="Mark as shipped").click()
    expect(office.get_by_role("heading", name="Shipped (done)")).to_be_visible()
    link = office.get_by_role("link", name="Parcel Post PP1")
    expect(link).to_have_attribute("href", "https://parcels.example.com/PP1")
    office.get_by_role("button", name="Mark as delivered").click()
    expect(office.get_by_role("heading", name="Delivered (done)")).to_be_visible()
    assert customer.get(f"/orders/{order}").json()["status"] == "delivered"


def test_an_unpaid_order_is_not_shipped(office: Page, order: str, complaints: Complaints) -> None:
    complaints.announce("status of 409")
    office.goto(f"/#/orders/{order}")
    office.get_by_role("button", name="Mark as shipped").click()
    expect(office.get_by_role("alert").filter(has_text="must be paid first")).to_be_visible()
    expect(office.get_by_role("button", name="Pay now")).to_have_count(0)


def test_everybodys_notifications_are_listed(office: Page, customer: Client, product: Callable[[int], str]) -> None:
    order = customer.post("/orders", {"product_id": product(5), "quantity": 1}).json()["id"]
    row = office.get_by_role("row").filter(has_text=customer.email).filter(has_text=order)
    for _ in range(20):  # the list shows what there is when it is opened
        office.goto("/#/notifications")
        office.reload()
        expect(office.get_by_role("table")).to_be_visible()
        if row.count():
            break
    expect(row.get_by_text("sent").first).to_be_visible()
    row.get_by_role("group").click()
    expect(row.get_by_text("Moka Pot").first).to_be_visible()


def test_a_user_becomes_administrator_and_loses_the_role_again(office: Page, customer: Client) -> None:
    office.goto("/#/users")
    office.get_by_role("button", name=f"Make {customer.email} an administrator").click()
    back = office.get_by_role("button", name=f"Take the role admin from {customer.email}")
    expect(back).to_be_visible()
    assert set(customer.get("/users/me").json()["roles"]) == {"customer", "admin"}
    back.click()
    expect(office.get_by_role("button", name=f"Make {customer.email} an administrator")).to_be_visible()
    assert customer.get("/users/me").json()["roles"] == ["customer"]


def test_a_customer_sees_nothing_of_it(page: Page, customer: Client, complaints: Complaints) -> None:
    sign_in(page, customer)
    expect(page.get_by_role("link", name="Stock and prices")).to_have_count(0)
    complaints.announce("status of 403")
    page.goto("/#/users")
    expect(page.get_by_text("You have no right to see this")).to_be_visible()
