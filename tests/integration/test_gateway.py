"""The gateway's configuration in a real nginx: what it does not pass on. Skipped where there is no nginx."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.gateway import AWAY, SERVICES, Gateway, running

SPELLINGS = [
    "/metrics",
    "/metrics/",
    "//metrics",
    "///metrics//",
    "/metrics?name=shop_orders_total",
    "/metrics/?x",
    "/metrics#x",
    "/%6detrics",
    "/%6D%65%74%72%69%63%73",
    "/%2fmetrics",
    "/metrics%2f",
    "/./metrics",
    "/metrics/.",
    "/products/../metrics",
    "/products/%2e%2e/metrics",
    "/METRICS",
    "/metrics/x",
    "http://shop.example/metrics",
]
OTHERS = ["/metricsx", "/products/metrics", "/products?q=/metrics", "/x%2f..%2fmetricsx", "/health"]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.mark.parametrize("port", SERVICES)
@pytest.mark.parametrize("target", SPELLINGS)
def test_metrics_stay_inside_however_they_are_spelled(gateway: Gateway, port: int, target: str) -> None:
    gateway.passed_on.clear()
    status, kind, body = gateway.send(target, port=port)
    assert (status, kind, gateway.passed_on) == (404, "application/problem+json", [])
    assert {"type": "not-found", "title": "Not Found", "status": 404}.items() <= json.loads(body).items()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_metrics_stay_inside_whatever_the_method(gateway: Gateway, method: str) -> None:
    gateway.passed_on.clear()
    assert (gateway.send("/metrics", method=method)[0], gateway.passed_on) == (404, [])


@pytest.mark.parametrize("target", OTHERS)
def test_other_paths_are_passed_on_as_they_are(gateway: Gateway, target: str) -> None:
    gateway.passed_on.clear()
    assert gateway.send(target)[0] == 200
    assert [asked.path for asked in gateway.passed_on] == [target]


def test_a_stranger_does_not_decide_which_traces_are_recorded(gateway: Gateway) -> None:
    gateway.passed_on.clear()
    for name in ("traceparent", "Traceparent", "TRACEPARENT"):
        assert gateway.send("/orders", **{name: TRACEPARENT, "tracestate": "vendor=1", "X-Request-ID": "r-7"})[0] == 200
    for asked in gateway.passed_on:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        assert headers.keys() & {"traceparent", "tracestate"} == set()
        assert headers["x-request-id"] == "r-7"
    assert len(gateway.passed_on) == 3


def test_the_gateways_own_errors_are_readable_by_every_page_but_not_the_answers_of_services(gateway: Gateway) -> None:
    answer, body = gateway.ask("/notifications", port=AWAY, Origin="https://shop.example")
    assert (answer.status, json.loads(body)["type"], answer.headers["Retry-After"]) == (503, "unavailable", "2")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Retry-After", "X-Request-ID"} == set(exposed) <= set(answer.headers)
    assert "Access-Control-Allow-Origin" not in gateway.ask("/orders", Origin="https://shop.example")[0].headers
