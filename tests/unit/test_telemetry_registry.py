"""`contracts/telemetry.json` names exactly the metrics that the programs have, with their types and labels.

Rules and dashboards are written from it. A metric that only one of the two has fails here.
"""

import json
import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from flask import Flask

from chassis.web import observation
from chassis.web.observation import METHODS
from notification_service.config import ConsumerSettings
from notification_service.consumer import _shown
from notification_service.smtp_pool import SmtpPool
from order_service.product_client import ProductClient
from tests.counted import samples
from tests.unit.order.order_app import make_shop
from tools.paths import ROOT

METRICS: list[dict[str, Any]] = json.loads((ROOT / "contracts/telemetry.json").read_text())["metrics"]
WEB = ("user-service", "product-service", "order-service", "notification-service")
IMPORTED = {
    **{service: f"{service.replace('-', '_')}.app" for service in WEB},
    "order-worker": "order_service.worker",
    "notification-consumer": "notification_service.consumer",
}
FIXED = re.compile(r"[a-z_-]+(?:, [a-z_-]+)*")  # the documented values of a label, if they are all that there are
SCRIPT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
from chassis.telemetry import metrics
families = [*metrics._REGISTRY._collector_to_names]
created = {
    f._name + ("_total" if f._type == "counter" else ""): {
        "type": f._type, "labels": f._labelnames, "children": [*getattr(f, "_metrics", ())], "help": f._documentation
    }
    for f in families
}
for family in metrics._USAGE.collect():
    name = family.name + ("_total" if family.type == "counter" else "")
    created[name] = {"type": family.type, "labels": [], "children": [], "help": family.documentation}
print(json.dumps(created))
"""


def documented(program: str) -> dict[str, dict[str, Any]]:
    """Return the metrics that the registry says a program has, by name."""
    kinds = {program, "web"} if program in WEB else {program}
    return {metric["name"]: metric for metric in METRICS if kinds & set(metric["programs"])}


@cache
def created(program: str) -> dict[str, dict[str, Any]]:
    """Return the metrics that a program has created when it is imported, by name."""
    path = ":".join(map(str, [ROOT, *(ROOT / service for service in WEB)]))
    command = (sys.executable, "-c", SCRIPT, IMPORTED[program])
    done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    families: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return families


def test_each_metric_is_described_once_and_belongs_to_programs_that_exist() -> None:
    names = [metric["name"] for metric in METRICS]
    assert len(names) == len(set(names))
    assert {program for metric in METRICS for program in metric["programs"]} <= {*IMPORTED, "web"}
    assert all(metric["meaning"] for metric in METRICS)


@pytest.mark.parametrize("program", IMPORTED)
def test_a_program_has_exactly_the_metrics_of_the_registry(program: str) -> None:
    expected = {name: (metric["type"], set(metric["labels"])) for name, metric in documented(program).items()}
    found = {name: (metric["type"], set(metric["labels"])) for name, metric in created(program).items()}
    assert found == expected
    assert all(metric["help"] for metric in created(program).values())


@pytest.mark.parametrize("program", IMPORTED)
def test_all_values_of_a_label_that_has_few_are_shown_from_the_start(program: str) -> None:
    """Prometheus sees no increase in a counter that appears together with its first increase."""
    for name, metric in documented(program).items():
        children = [dict(zip(metric["labels"], child, strict=True)) for child in created(program)[name]["children"]]
        for label, values in metric["labels"].items():
            if FIXED.fullmatch(values) and label != "pool":
                assert {child[label] for child in children} == set(values.split(", ")), (name, label)


def test_names_follow_prometheus() -> None:
    """https://prometheus.io/docs/practices/naming: a counter ends in _total, a duration in _seconds."""
    for metric in METRICS:
        assert metric["name"].endswith("_total") is (metric["type"] == "counter"), metric["name"]
        assert metric["name"].endswith("_seconds") or metric["type"] != "histogram", metric["name"]
        assert metric["type"] in ("counter", "gauge", "histogram")


def test_the_methods_of_requests_are_those_of_the_registry() -> None:
    labels = next(metric["labels"] for metric in METRICS if metric["name"].startswith("http_server_"))
    assert {*METHODS, "_OTHER"} == set(labels["http_request_method"].split(", "))


def test_the_pools_are_those_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop(monkeypatch)
    observation.init_app(Flask("test"), 1)
    ProductClient("http://unused", None, max_concurrent=1)  # type: ignore[arg-type]
    SmtpPool(None).close()  # type: ignore[arg-type]
    settings = ConsumerSettings(environment="development", mongo_url="mongodb://m/n", rabbitmq_url="amqp://r/")
    _shown(lambda _batch: [], settings)
    labels = next(metric["labels"] for metric in METRICS if metric["name"] == "shop_pool_busy")
    shown = {name.split()[1] for name in samples() if name.startswith("shop_pool_busy")}
    assert shown - {"test"} == set(labels["pool"].split(", "))
