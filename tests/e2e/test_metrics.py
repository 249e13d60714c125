"""The metrics of all programs of a running shop: valid, as registered, few, and without anything about a person.

The other end-to-end tests run before in the same shop, so that the numbers are those after many odd requests.
"""

import json
import re
import subprocess
from functools import cache
from typing import Any

import pytest
import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.clients import Client, notifications_of
from tests.e2e.shop import Shop
from tests.waiting import until
from tools import apt
from tools.paths import ROOT
from tools.stack.stack import Stack

WEB = ("user-service", "product-service", "order-service", "notification-service")
PROGRAMS = (*WEB, "order-worker", "notification-consumer")
MAX_SERIES = 1000
FIXED = re.compile(r"[A-Za-z_-]+(?:, [A-Za-z_-]+)*")  # the documented values of a label, if they are all that there are


@cache
def registry() -> dict[str, dict[str, Any]]:
    """Return the metrics of the registry, by name."""
    return {metric["name"]: metric for metric in json.loads((ROOT / "contracts/telemetry.json").read_text())["metrics"]}


def text_of(stack: Stack, program: str) -> str:
    page = f"{stack.urls[program]}/metrics" if program in WEB else stack.pages()[program]
    return requests.get(page, timeout=30).text


def families_of(stack: Stack, program: str) -> dict[str, Metric]:
    """Return what a program shows, by the names of the registry."""
    families = text_string_to_metric_families(text_of(stack, program))
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in families}


def series_of(stack: Stack, program: str) -> list[tuple[str, dict[str, str]]]:
    return [
        (sample.name, {label: value for label, value in sample.labels.items() if label != "le"})
        for family in families_of(stack, program).values()
        for sample in family.samples
    ]


@pytest.fixture(scope="module")
def used(stack: Stack) -> Stack:
    """The stack after an order whose notification was sent, by a customer with canaries in everything."""
    shop = Shop.of(stack)
    admin = Client(shop).login(shop.admin_email, shop.admin_password)
    pot = admin.post("/products", {"name": "Canary Pot", "price": "34.90", "stock": 10}).json()["id"]
    customer = Client(shop).register(phone="+442079461234", name="Canary Byron")
    order = customer.post("/orders", {"product_id": pot, "quantity": 1, "note": "Canary note"})
    assert order.status_code == 201, order.text
    customer.get("/products", params={"q": "canarysearch"})
    notifications_of(customer, 1)
    for client in (admin, customer):
        client.close()
    return stack


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_format_is_valid(used: Stack, program: str) -> None:
    check = [apt.promtool(), "check", "metrics"]
    done = subprocess.run(check, input=text_of(used, program), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_shows_exactly_what_the_registry_says_of_it(used: Stack, program: str) -> None:
    kinds = {program, "web"} if program in WEB else {program}
    expected = {name: metric["type"] for name, metric in registry().items() if kinds & set(metric["programs"])}
    assert {name: family.type for name, family in families_of(used, program).items()} == expected


@pytest.mark.parametrize("program", PROGRAMS)
def test_labels_have_only_documented_names_and_values(used: Stack, program: str) -> None:
    for name, family in families_of(used, program).items():
        documented = registry()[name]["labels"]
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*documented}, name
            for label, values in documented.items():
                if FIXED.fullmatch(values):
                    assert sample.labels[label] in values.split(", "), (name, label)


@pytest.mark.parametrize("program", PROGRAMS)
def test_there_are_few_series_whatever_was_asked(used: Stack, program: str) -> None:
    assert len(series_of(used, program)) <= MAX_SERIES


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_label_tells_of_a_person_an_order_or_a_search(used: Stack, program: str) -> None:
    values = {value for _, labels in series_of(used, program) for value in labels.values()}
    assert [value for value in values if re.search(r"canary|@|\+44|[0-9a-f]{16}", value, re.IGNORECASE)] == []


def test_what_has_happened_is_counted(used: Stack) -> None:
    def count(program: str, name: str, **labels: str) -> float:
        samples = families_of(used, program)[name].samples
        return sum(s.value for s in samples if labels.items() <= s.labels.items() and not s.name.endswith("_sum"))

    assert count("order-service", "shop_orders_total", outcome="confirmed") > 0
    assert count("order-service", "shop_order_value_minor_total", currency="EUR") >= 3490
    assert count("product-service", "shop_reservations_total", outcome="held") > 0
    assert count("user-service", "shop_registrations_total", outcome="created") > 0
    assert count("order-worker", "shop_events_published_total", type="order_created") > 0
    assert count("notification-consumer", "shop_notifications_total", channel="sms", outcome="sent") > 0
    until(lambda: count("order-worker", "shop_outbox_events") == 0, "the gauges show that nothing waits", seconds=30)
