"""What a newcomer does first: the walk that README.md describes, on whatever runs the shop."""

import re
import shutil
import subprocess
import uuid
from collections.abc import Callable

import pytest

from tests.e2e.clients import Client, notifications_of, stock_of
from tests.e2e.shop import Shop
from tests.waiting import until
from tools.paths import ROOT


@pytest.mark.skipif(not shutil.which("curl"), reason="README's commands need curl")
def test_the_commands_of_the_readme_work_as_they_stand_there(shop: Shop) -> None:
    readme = (ROOT / "README.md").read_text()
    walk = readme[readme.index("## Your first order") : readme.index("## Break it")]
    blocks = re.findall(r"```bash\n(.*?)```", walk, re.DOTALL)
    (moment,) = (number for number, block in enumerate(blocks) if "/notifications" in block)
    blocks.insert(moment, f"until {blocks[moment].strip()} | grep -q order_created:email; do sleep 0.2; done\n")
    commands = "".join(blocks)
    urls = {5001: shop.product_url, 5002: shop.user_url, 5003: shop.order_url, 5004: shop.notification_url}
    for port, url in urls.items():
        commands = commands.replace(f"localhost:{port}", url)
    commands = commands.replace("ada@", f"ada-{uuid.uuid4().hex}@")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for told in (
        "Coffee Grinder",
        '"status":"confirmed"',
        '"status":"paid","method":"pm_card_ok","amount":"179.00"',
        ".order_created:email",
        "Moka Pot",
        '"status":"shipped"',
        '"tracking":{"carrier":"Parcel Post","number":"PP1815","url":"https://parcels.example.com/PP1815"}',
    ):
        assert told in done.stdout
    assert '"detail":' not in done.stdout, "a problem document"


def test_demo_products_can_be_found_by_the_beginning_of_a_word(shop: Shop) -> None:
    visitor = Client(shop)
    names = [item["name"] for item in visitor.get("/products?q=COFF").json()["items"]]
    visitor.close()
    assert "Coffee Grinder" in names


def test_an_order_takes_stock_and_is_notified_by_mail_and_text_message(
    customer: Client, product: Callable[[int], str]
) -> None:
    pot = product(5)
    placed = customer.post("/orders", {"product_id": pot, "quantity": 2}, Idempotency_Key="first")
    order = placed.json()
    assert (placed.status_code, order["status"], order["total"]) == (201, "confirmed", "69.80")
    assert placed.headers["Location"] == f"/orders/{order['id']}"
    assert stock_of(customer, pot) == 3

    sent = notifications_of(customer, 2)
    assert {(n["event_type"], n["channel"], n["order_id"]) for n in sent} == {
        ("order_created", "email", order["id"]),
        ("order_created", "sms", order["id"]),
    }
    until(lambda: {n["status"] for n in customer.get("/notifications").json()["items"]} == {"sent"}, "both are sent")


def test_a_repeat_with_the_same_key_is_the_same_order(customer: Client, product: Callable[[int], str]) -> None:
    pot = product(5)
    body = {"product_id": pot, "quantity": 2}
    first, second = (customer.post("/orders", body, Idempotency_Key="key") for _ in range(2))
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert second.json()["id"] == first.json()["id"]
    assert stock_of(customer, pot) == 3


def test_more_than_there_is_cannot_be_ordered(customer: Client, product: Callable[[int], str]) -> None:
    pot = product(1)
    refused = customer.post("/orders", {"product_id": pot, "quantity": 2})
    assert (refused.status_code, refused.json()["type"]) == (409, "insufficient-stock")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert stock_of(customer, pot) == 1


def test_a_cancelled_order_gives_its_stock_back(customer: Client, product: Callable[[int], str]) -> None:
    pot = product(5)
    order_id = customer.post("/orders", {"product_id": pot, "quantity": 2}).json()["id"]
    assert customer.post(f"/orders/{order_id}/cancel").json()["status"] == "cancelled"
    assert customer.post(f"/orders/{order_id}/cancel").status_code == 409
    until(lambda: stock_of(customer, pot) == 5, "the stock returns")
    types = {n["event_type"] for n in notifications_of(customer, 4)}
    assert types == {"order_created", "order_cancelled"}


def test_the_buyer_pays_the_administrator_ships_and_the_buyer_is_told(
    customer: Client, admin: Client, product: Callable[[int], str]
) -> None:
    order_id = customer.post("/orders", {"product_id": product(5), "quantity": 1}).json()["id"]
    assert customer.post(f"/orders/{order_id}/ship").status_code == 403
    assert admin.post(f"/orders/{order_id}/ship").json()["type"] == "payment-required"
    assert customer.post(f"/orders/{order_id}/pay", {"payment_method": "pm_card_ok"}).json()["status"] == "paid"
    tracking = {"carrier": "Parcel Post", "tracking_number": "PP1", "tracking_url": "https://parcels.example.com/PP1"}
    assert admin.post(f"/orders/{order_id}/ship", tracking).json()["status"] == "shipped"
    assert admin.post(f"/orders/{order_id}/deliver").json()["status"] == "delivered"
    sent = notifications_of(customer, 8)
    assert {n["event_type"] for n in sent} == {"order_created", "order_paid", "order_shipped", "order_delivered"}
    shipped = next(n for n in sent if (n["event_type"], n["channel"]) == ("order_shipped", "email"))
    assert "https://parcels.example.com/PP1" in shipped["body"]


@pytest.mark.parametrize(
    ("method", "status", "ends_as"),
    [("pm_card_declined", 402, "confirmed"), ("pm_card_lost", 503, "paid"), ("pm_card_slow", 200, "paid")],
)
def test_every_card_of_the_simulated_provider_does_what_it_says(
    customer: Client, product: Callable[[int], str], method: str, status: int, ends_as: str
) -> None:
    order_id = customer.post("/orders", {"product_id": product(5), "quantity": 1}).json()["id"]
    assert customer.post(f"/orders/{order_id}/pay", {"payment_method": method}).status_code == status
    until(lambda: customer.get(f"/orders/{order_id}").json()["status"] == ends_as, "the worker has found out")


def test_a_cancelled_order_gives_its_money_back(customer: Client, product: Callable[[int], str]) -> None:
    order_id = customer.post("/orders", {"product_id": product(5), "quantity": 1}).json()["id"]
    customer.post(f"/orders/{order_id}/pay", {"payment_method": "pm_card_ok"})
    assert customer.post(f"/orders/{order_id}/cancel").json()["payment"]["status"] == "refund_due"
    until(lambda: customer.get(f"/orders/{order_id}").json()["payment"]["status"] == "refunded", "the refund")
    types = {n["event_type"] for n in notifications_of(customer, 8)}
    assert types == {"order_created", "order_paid", "order_cancelled", "order_refunded"}


def test_somebody_elses_order_does_not_exist(customer: Client, shop: Shop, product: Callable[[int], str]) -> None:
    order_id = customer.post("/orders", {"product_id": product(5), "quantity": 1}).json()["id"]
    other = Client(shop).register()
    assert other.get(f"/orders/{order_id}").status_code == 404
    assert other.post(f"/orders/{order_id}/cancel").status_code == 404
    assert other.get("/orders").json() == {"items": [], "next_cursor": None}
    other.close()


def test_a_request_id_goes_through_to_the_answer_the_neighbour_and_the_event(
    shop: Shop, customer: Client, product: Callable[[int], str]
) -> None:
    request_id = f"trace-{uuid.uuid4().hex}"
    answer = customer.post("/orders", {"product_id": product(1), "quantity": 1}, X_Request_ID=request_id)
    assert answer.headers["X-Request-ID"] == request_id
    for name in ("order-service", "product-service", "notification-consumer") if shop.stack else ():
        log = shop.stack.state / "logs" / f"{name}.log"
        until(lambda log=log: f'"request_id": "{request_id}"' in log.read_text(), f"{name} logs it")


@pytest.mark.parametrize("path", ["/orders", "/products", "/notifications", "/users/me"])
def test_every_service_describes_its_api_and_serves_its_own_docs(shop: Shop, path: str) -> None:
    bases = {
        "/orders": shop.order_url,
        "/products": shop.product_url,
        "/notifications": shop.notification_url,
        "/users/me": shop.user_url,
    }
    visitor = Client(shop)
    visitor._user_url = bases[path]
    assert path in visitor.get("/openapi.json").json()["paths"]
    assert "/docs/assets/" in visitor.get("/docs").text
    assert visitor.get("/docs/assets/js/swagger-ui-bundle.js").status_code == 200
    assert visitor.get("/ready").json()["status"] == "ready"
    visitor.close()
