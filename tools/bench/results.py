"""Results on disk: one JSON file per workload and database, under `bench/results`. Databases are never mixed."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.paths import ROOT

RESULTS = ROOT / "bench" / "results"


def save(name: str, database: str, content: dict[str, Any]) -> Path:
    """Write a result and return its path."""
    path = RESULTS / database.partition(" ")[0] / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"name": name, "database": database, "cpus": os.cpu_count(), "at": datetime.now(UTC).date().isoformat()}
    path.write_text(json.dumps({**known, **content}, indent=1) + "\n")
    return path


def load_all() -> dict[str, list[dict[str, Any]]]:
    """Return all results by the name of their database."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*/*.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["database"], []).append(result)
    return found


def medians(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one point per target and number of clients, each figure the median of all rounds."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for point in points:
        groups.setdefault((point["clients"], point["target"]), []).append(point)
    return [_median(group) for group in groups.values()]


def _median(group: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: _middle([point[key] for point in group]) for key in group[0]}


def _middle(values: list[Any]) -> Any:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None
