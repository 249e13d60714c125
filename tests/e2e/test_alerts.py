"""A real Prometheus scrapes a real shop under traffic: its dashboards show data, and its alerts follow the faults."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.e2e.shop import Shop
from tests.waiting import until
from tools import apt
from tools.observe.alert_run import observed_stack, run, wait_until_scraped
from tools.observe.faults import FAULTS, HEALTHY, Fault, Scene
from tools.observe.queries import Prometheus
from tools.observe.traffic import traffic
from tools.paths import MONITORING, ROOT
from tools.services import SERVICES
from tools.stack.stack import Stack

MAX_SERIES = 1000
EMPTY_WHEN_HEALTHY = "Empty when healthy."
VARIABLES = {"$__rate_interval": "10s", "$__range": "60s", "$__interval": "1s", "$job": ".+"}
WEB = {service.name for service in SERVICES}

Panel = dict[str, Any]


@pytest.fixture(scope="module")
def observed(mongodb_program: str) -> Iterator[tuple[Scene, Prometheus]]:
    """A shop with Prometheus, under traffic."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    with observed_stack(mongodb_program) as (scene, prometheus), traffic(scene.stack):
        wait_until_scraped(prometheus)
        yield scene, prometheus


def metrics_of(stack: Stack) -> dict[str, str]:
    """Return the text of /metrics of each of our programs."""
    pages = {name: f"{url}/metrics" for name, url in stack.urls.items()}
    pages |= {name: page for name, page in stack.pages().items() if name in stack.services()}
    return {name: requests.get(page, timeout=10).text for name, page in pages.items()}


def names_in(text: str) -> set[str]:
    """Return the names of the metrics: in a web service, of those that have a value."""
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def expressions() -> dict[tuple[str, str, str], Panel]:
    """Return the panel of each expression, by dashboard, title and expression."""
    found = {}
    for path in sorted((MONITORING / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found[(path.stem, panel["title"], filled_in(target["expr"]))] = panel
    return found


def filled_in(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def test_every_program_emits_the_metrics_of_the_registry_and_no_others(observed: tuple[Scene, Prometheus]) -> None:
    registry = json.loads((ROOT / "contracts" / "telemetry.json").read_text())["metrics"]
    programs = observed[0].stack.services()
    expected = {
        program: {each["name"] for each in registry if {program, "web" if program in WEB else ""} & {*each["programs"]}}
        for program in programs
    }
    missing: dict[str, set[str]] = {}

    def is_complete() -> bool:
        emitted = {program: names_in(text) for program, text in metrics_of(observed[0].stack).items()}
        assert {program: emitted[program] - expected[program] for program in programs} == dict.fromkeys(programs, set())
        missing.update({program: expected[program] - emitted[program] for program in programs})
        return not any(missing.values())

    try:
        until(is_complete, "every metric has a value", seconds=40)
    except AssertionError as exc:
        raise AssertionError({program: names for program, names in missing.items() if names}) from exc


def test_metrics_are_well_formed_and_few(observed: tuple[Scene, Prometheus]) -> None:
    for program, text in metrics_of(observed[0].stack).items():
        check = subprocess.run([apt.promtool(), "check", "metrics"], input=text, capture_output=True, text=True)
        assert (check.returncode, check.stdout, check.stderr) == (0, "", ""), program
        assert len(re.findall(r"^[a-z]", text, re.MULTILINE)) <= MAX_SERIES, program


def test_every_panel_shows_data(observed: tuple[Scene, Prometheus]) -> None:
    healthy = [key for key, panel in expressions().items() if EMPTY_WHEN_HEALTHY not in panel.get("description", "")]
    assert len(healthy) > 30
    for key in expressions():
        observed[1].query(key[-1])  # raises what Prometheus does not accept
    empty = [*healthy]

    def is_complete() -> bool:
        empty[:] = [key for key in empty if not observed[1].query(key[-1])]
        return not empty

    try:
        until(is_complete, "every panel has data", seconds=40)
    except AssertionError as exc:
        raise AssertionError(empty) from exc


@pytest.mark.parametrize("fault", [HEALTHY, *FAULTS], ids=lambda fault: fault.name)
def test_a_fault_raises_its_alerts_and_no_others_and_they_end(observed: tuple[Scene, Prometheus], fault: Fault) -> None:
    outcome = run(fault, *observed)
    assert list(outcome.failures()) == []
