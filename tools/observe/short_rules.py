"""The rules of deploy/monitoring on a shorter scale of time, so that a fault of seconds raises its alerts.

Every range and every `for` is `FACTOR` times as short, and no range is longer than `LONGEST`: so an alert ends soon
after its fault. Thresholds stay, also those in seconds: a program that shows a heartbeat every second cannot do so 24
times as often. Exceptions are the alerts that wait for a duration to pass while the fault lasts (`SCALED`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FACTOR = 24.0
SHORTEST, LONGEST = 4.0, 12.0  # s; a range needs at least two scrapes, which are a second apart
SCALED = {"OutboxStuck"}  # "the oldest event waits for more than 30 seconds"

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_RANGE = re.compile(rf"(?<=\[){_DURATION}|(?<=offset ){_DURATION}")
_THRESHOLD = re.compile(r"(?<=> )\d+$")


def write(source: Path, target: Path) -> None:
    """Write all rule files of a folder into another, shortened."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.yml")):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group["rules"] = [shorten(rule) for rule in group["rules"]]
        (target / path.name).write_text(yaml.safe_dump(rules, sort_keys=False))


def shorten(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule on the shorter scale."""
    expression = _RANGE.sub(lambda match: _text(_range(seconds(match[0]))), rule["expr"])
    if rule.get("alert") in SCALED:
        expression = _THRESHOLD.sub(lambda match: f"{float(match[0]) / FACTOR:g}", expression)
    waits = {key: _text(seconds(rule[key]) / FACTOR) for key in ("for", "keep_firing_for") if key in rule}
    return {**rule, "expr": expression, **waits}


def seconds(duration: str) -> float:
    """Return a duration of Prometheus, such as 1h30m, in seconds."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def _range(duration: float) -> float:
    return min(max(duration / FACTOR, SHORTEST), LONGEST)


def _text(duration: float) -> str:
    return f"{round(duration * 1000)}ms"
