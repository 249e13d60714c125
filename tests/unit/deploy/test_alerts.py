"""The alerts of deploy/monitoring: each fires when it should and only then, and leads to a section of the runbooks."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.monitoring import FOLDER, RULE_TESTS, RULES, load, promtool, rules, rules_of, unknown_names
from tests.unit.tools.test_documents import anchors
from tools.paths import ROOT

ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
RUNBOOKS = "docs/runbooks.md"
COMPARISON = re.compile(r"(?P<operator>==|>) (?P<number>\d+(?:\.\d+)?)\b")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Mutant:
    """A rule with one number changed: the n-th rule of a file."""

    file: Path
    number: int
    rule: dict[str, Any]
    change: str

    def __str__(self) -> str:
        return f"{self.rule['alert']}, {self.change}"


def test_prometheus_accepts_the_configuration_and_every_rule() -> None:
    checked = promtool("check", "config", FOLDER / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("rules found") == len(RULES)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.name)
def test_every_alert_fires_as_its_tests_say(file: Path) -> None:
    tested = promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    cases = [case for file in RULE_TESTS for test in cases_of(file) for case in test.get("alert_rule_test", [])]
    assert {bool(case["exp_alerts"]) for case in cases if case["alertname"] == name} == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_to_do_first(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert re.search(r"\b(Look|Check|Find) first\b", alert["annotations"]["description"])
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}#{alert['alert'].lower()}"


def test_every_alert_has_a_section_in_the_runbooks_and_no_section_is_left_over() -> None:
    text = (ROOT / RUNBOOKS).read_text()
    assert {name.lower() for name in NAMES} <= anchors(text)
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(NAMES)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_only_metrics_and_labels_of_the_registry(rule: dict[str, Any]) -> None:
    assert list(unknown_names(rule["expr"])) == []


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.name)
def test_the_series_of_a_rules_test_are_of_the_registry(file: Path) -> None:
    series = {series["series"] for test in cases_of(file) for series in test["input_series"]}
    assert [unknown for text in sorted(series) for unknown in unknown_names(text)] == []


def test_a_query_of_the_runbooks_names_only_metrics_and_labels_of_the_registry() -> None:
    spans = re.findall(r"`([^`]+)`", (ROOT / RUNBOOKS).read_text())
    queries = [span for span in spans if re.search(r"\w\(.*(shop|rabbitmq|http)_\w+", span)]
    assert len(queries) >= 5
    assert [unknown for query in queries for unknown in unknown_names(query)] == []


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("rate(shop_order_total[5m])", "no such metric: shop_order_total"),
        ("shop_outbox_events_bucket", "no such metric: shop_outbox_events_bucket"),
        ('sum(shop_orders_total{result="failed"})', "no such label: shop_orders_total{result}"),
        ('shop_orders_total{outcome=~"failed|lost"}', "no such value: shop_orders_total{outcome=~failed|lost}"),
        ('shop_orders_total{job="user-service"}', "no such value: shop_orders_total{job=user-service}"),
        ("sum by (le, colour) (shop_outbox_delay_seconds_bucket)", "no such label: colour"),
        ("up == 0 unless on (job, queue) shop_outbox_events > 0", "no such label: queue"),
    ],
)
def test_a_name_that_the_registry_does_not_know_is_noticed(query: str, complaint: str) -> None:
    assert list(unknown_names(query)) == [complaint]


def test_a_rule_has_durations_only_where_a_tool_can_shorten_them() -> None:
    """`./dev chaos --observe` divides the ranges in brackets and each `for`."""
    for rule in rules():
        outside = re.sub(r"\[\d+[smhd]\]", "", rule["expr"])
        assert not re.search(r"\boffset\b|\[|\b\d+[smhd]\b(?!\w)", re.sub(r"order_errors:ratio\w+", "", outside))
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def mutants() -> Iterator[Mutant]:
    """Yield every alert with one threshold, or its `for`, ten times stricter or looser."""
    for file in RULES:
        for number, rule in enumerate(rules_of(file)):
            if "alert" in rule:
                yield from (Mutant(file, number, *changed) for changed in changes(rule))


def changes(rule: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for found in COMPARISON.finditer(rule["expr"]):
        for new in (stricter(found["operator"], found["number"]), looser(found["operator"], found["number"])):
            expr = rule["expr"][: found.start()] + new + rule["expr"][found.end() :]
            yield {**rule, "expr": expr}, f"{found.group()} at {found.start()} becomes {new}"
    if "for" in rule:
        seconds = int(rule["for"][:-1]) * UNITS[rule["for"][-1]]
        for changed in (seconds * 10, seconds // 10):
            yield {**rule, "for": f"{changed}s"}, f"for {rule['for']} becomes {changed}s"


def stricter(operator: str, number: str) -> str:
    """A threshold of 0 has no tenfold; it becomes 10."""
    return f"{operator} {float(number) * 10 or 10:g}"


def looser(operator: str, number: str) -> str:
    return f"> {float(number) / 10:g}" if operator == ">" and float(number) else ">= 0"


@pytest.mark.parametrize("mutant", list(mutants()), ids=str)
def test_a_wrong_threshold_is_noticed_by_the_tests_of_the_alert(mutant: Mutant, tmp_path: Path) -> None:
    name = mutant.rule["alert"]
    (tmp_path / "tests").mkdir()
    (tmp_path / mutant.file.name).write_text(json.dumps(with_mutant(mutant)))
    files = [tmp_path / "tests" / file.name for file in RULE_TESTS if file.name.startswith(mutant.file.stem)]
    for file in files:
        document = load(FOLDER / "rules/tests" / file.name)
        about = [test for test in document["tests"] if name in str(test)]
        file.write_text(json.dumps({**document, "tests": about}))  # JSON is YAML
    assert any(promtool("test", "rules", file).returncode for file in files)


def with_mutant(mutant: Mutant) -> dict[str, Any]:
    """Return the file's recording rules, and the alerts of the mutant's name with the mutant among them."""
    every = [*rules_of(mutant.file)]
    every[mutant.number] = mutant.rule
    kept = [rule for rule in every if rule.get("alert", mutant.rule["alert"]) == mutant.rule["alert"]]
    return {"groups": [{"name": "mutant", "rules": kept}]}


def cases_of(file: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = load(file)["tests"]
    return cases
