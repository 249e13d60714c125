"""What the tests of deploy/monitoring share: its files, and which metrics and labels a query of Prometheus names."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools import apt
from tools.paths import ROOT
from tools.services import SERVICES

FOLDER = ROOT / "deploy/monitoring"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
RULE_TESTS = sorted((FOLDER / "rules/tests").glob("*.yml"))
REGISTRY: dict[str, Any] = json.loads((ROOT / "contracts/telemetry.json").read_text())
RABBITMQ_LABELS = {"queue": "", "vhost": ""}
OF_PROMETHEUS: dict[str, dict[str, str]] = {
    "up": {},
    "ALERTS": {"alertname": "", "alertstate": "firing, pending", "severity": "page, ticket"},
}
TARGET_LABELS = {"job", "instance"}  # Prometheus gives them to every series
WEB = [service.name for service in SERVICES]
PROGRAMS = [*WEB, *(name for service in SERVICES for name in service.background)]

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<skip>{_STRING}|\[[^\]]*\])|(?P<braces>{{(?:[^}}\"]|{_STRING})*}})|(?P<name>[a-zA-Z_:][\w:]*)|\S"
)
_MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {"and", "or", "unless", "bool", "offset"}
_AGGREGATIONS = {"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "group"}


@dataclass(frozen=True)
class Selector:
    """A selection of series: `metric{label="value"}`; a matcher is the label, the operator and the value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([apt.promtool(), *arguments], capture_output=True, text=True, timeout=60)


@cache
def load(file: Path) -> Any:
    """Return what a YAML file holds. Do not change it: every caller gets the same objects."""
    return yaml.safe_load(file.read_text())


def rules_of(file: Path) -> list[dict[str, Any]]:
    """Return the rules of a file: those with `alert` are alerts, those with `record` name a new series."""
    return [rule for group in load(file)["groups"] for rule in group["rules"]]


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for rule in rules_of(file)]


def selectors(query: str) -> list[Selector]:
    """Return what a query selects."""
    tokens = list(_TOKEN.finditer(_without_groupings(query)))
    found = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        name, after = token["name"], following.group() if following else ""
        if not name or name in _KEYWORDS | _AGGREGATIONS or after == "(":
            continue
        matchers = _MATCHER.findall(after) if after.startswith("{") else []
        found.append(Selector(name, tuple((label, op, value[1:-1]) for label, op, value in matchers)))
    return found


def grouping_labels(query: str) -> set[str]:
    """Return the labels that a query groups or joins by."""
    lists = re.findall(rf"\b(?:{'|'.join(_GROUPING)})\s*\(([^)]*)\)", query)
    return {label for text in lists for label in re.findall(r"\w+", text)}


def _without_groupings(query: str) -> str:
    return re.sub(rf"\b(?:{'|'.join(_GROUPING)})\s*\([^)]*\)", "", query)


def unknown_names(query: str) -> Iterator[str]:
    """Yield what a query names and neither the registry of metrics, nor Prometheus, nor a rule knows."""
    known: set[str] = set(TARGET_LABELS)
    for selector in selectors(query):
        labels = _labels_of(selector.metric)
        if labels is None:
            yield f"no such metric: {selector.metric}"
            continue
        known |= labels.keys()
        yield from _unknown_matchers(selector, labels)
    yield from (f"no such label: {label}" for label in sorted(grouping_labels(query) - known))


def _unknown_matchers(selector: Selector, labels: dict[str, str]) -> Iterator[str]:
    for label, operator, text in selector.matchers:
        patterns = text.split("|") if "~" in operator else [re.escape(text)]
        known = _programs_of(selector.metric) if label == "job" else _listed(labels.get(label, ""))
        if label not in labels.keys() | TARGET_LABELS:
            yield f"no such label: {selector.metric}{{{label}}}"
        elif known and not all(any(re.fullmatch(pattern, value) for value in known) for pattern in patterns):
            yield f"no such value: {selector.metric}{{{label}{operator}{text}}}"


def _labels_of(metric: str) -> dict[str, str] | None:
    """Return the labels of a metric with the text that lists their values; None if nobody knows the metric."""
    if metric in OF_PROMETHEUS:
        return OF_PROMETHEUS[metric]
    if any(rule.get("record") == metric for rule in rules()):
        return {}
    if metric in {entry["name"] for entry in REGISTRY["rabbitmq_metrics"]}:
        return RABBITMQ_LABELS
    entry = registered(metric)
    if entry is None:
        return None
    return {**entry["labels"], **({"le": ""} if metric.endswith("_bucket") else {})}


def registered(metric: str) -> dict[str, Any] | None:
    """Return the registry's entry of a series' name; a histogram has three of them."""
    for entry in REGISTRY["metrics"]:
        suffixes = ("_bucket", "_count", "_sum") if entry["type"] == "histogram" else ("",)
        if metric in {entry["name"] + suffix for suffix in suffixes}:
            return dict(entry)
    return None


def _programs_of(metric: str) -> list[str]:
    entry = registered(metric)
    if entry is None:
        return [*PROGRAMS, "rabbitmq", "rabbitmq-overview"]
    return [name for program in entry["programs"] for name in (WEB if program == "web" else [program])]


def _listed(text: str) -> list[str]:
    """Return the values of a label if the registry lists all of them, else nothing."""
    return text.split(", ") if re.fullmatch(r"[\w-]+(, [\w-]+)*", text) else []
