"""The shop's page as a browser gets it: the page, where the services are, and their leave to be called from it."""

import re
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.shop import Shop

CALLS = {
    "user-service": ("GET", "/users/me"),
    "product-service": ("GET", "/products"),
    "order-service": ("POST", "/orders"),
    "notification-service": ("GET", "/notifications"),
}


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10)


def test_the_page_is_served_and_knows_every_service(shop: Shop) -> None:
    page = get(f"{shop.storefront_url}/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<!doctype html>" in page.text.lower()
    named = get(f"{shop.storefront_url}/services.json").json()
    assert {name: urlsplit(url).port for name, url in named.items()} == {
        name: urlsplit(url).port for name, url in shop.urls.items()
    }


def test_the_policy_of_the_page_lets_it_call_the_services_and_nobody_else(shop: Shop) -> None:
    policy = get(f"{shop.storefront_url}/").headers["Content-Security-Policy"]
    allowed = re.search(r"connect-src ([^;]*);", policy)
    assert allowed
    assert allowed[1].split() == ["'self'", *get(f"{shop.storefront_url}/services.json").json().values()]


@pytest.mark.parametrize("service", CALLS)
def test_a_service_answers_the_page_at_the_url_that_the_page_knows(shop: Shop, service: str) -> None:
    url = get(f"{shop.storefront_url}/services.json").json()[service]
    method, path = CALLS[service]
    port = urlsplit(shop.storefront_url).port
    for origin in (shop.storefront_url, f"http://127.0.0.1:{port}"):
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        preflight = requests.options(url + path, headers=asked, timeout=10)
        assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert method in preflight.headers["Access-Control-Allow-Methods"]
        answer = requests.get(f"{url}/health", headers={"Origin": origin}, timeout=10)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    stranger = requests.get(f"{url}/health", headers={"Origin": "https://evil.example"}, timeout=10)
    assert "Access-Control-Allow-Origin" not in stranger.headers
