"""A run as Markdown: one table, with the ratios of the paired rounds. `tools/bench/results` has the saved runs."""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench.measurement import Measurement
from tools.bench.targets import SHOP
from tools.paths import ROOT

RESULTS = ROOT / "tools" / "bench" / "results"
COLUMNS = {
    "throughput": "requests/s",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "http_errors": "4xx/5xx",
    "socket_errors": "no answer",
    "cpu": "CPU ms",
    "cpu_database": "database",
    "cpu_broker": "broker",
    "memory": "PSS MB",
    "lag_p50": "lag p50",
    "lag_p99": "lag p99",
}
RATIOS = {"throughput": "shop/this, requests/s", "cpu": "shop/this, CPU ms"}


def save(run: dict[str, Any], folder: Path = RESULTS) -> list[Path]:
    """Write the measurements (JSON) and the table (Markdown). They replace the last run on the same database."""
    return write(run, text(run), folder)


def write(run: dict[str, Any], content: str, folder: Path) -> list[Path]:
    """Write the measurements, and `content` as their page, into a folder; return both files."""
    folder.mkdir(exist_ok=True)
    environment = {key: value for key, value in run.items() if key != "measurements"}
    lines = ",\n".join(json.dumps(measurement) for measurement in run["measurements"])
    texts = {
        ".json": f'{json.dumps(environment, indent=1)[:-2]},\n "measurements": [\n{lines}\n]}}\n',
        ".md": f"# Results on {run['database']}\n\n{content}\n",
    }
    for suffix, whole in texts.items():
        (folder / f"{run['database']}{suffix}").write_text(whole)
    return [folder / f"{run['database']}{suffix}" for suffix in texts]


def text(run: dict[str, Any]) -> str:
    """Return what was measured, on what and how long, and the table."""
    return f"{heading(run)}\n\n{table(run['measurements'])}"


def heading(run: dict[str, Any]) -> str:
    """Return which version was measured, on what and how long."""
    where = f"{run['database']} {run['database_version']}, {run['cpus']} CPUs, Python {run['python']}"
    how = f"medians of {run['rounds']} rounds of {run['seconds']} s"
    return f"Version {run['version']}, {run['date']}, on {where}; {how}."


def table(measurements: list[Measurement]) -> str:
    """Return a Markdown table of all rows, without the columns that have no value."""
    return markdown([["workload", "clients", "target", *COLUMNS.values(), *RATIOS.values()], *_rows(measurements)])


def markdown(rows: list[list[str]]) -> str:
    """Return a Markdown table, the header first, without the columns that have no value."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    padded = [[cell.rjust(width) for cell in column] for column, width in zip(columns, widths, strict=True)]
    header, *body = (f"| {' | '.join(row)} |" for row in zip(*padded, strict=True))
    rule = f"| {' | '.join('-' * (width - 1) + ':' for width in widths)} |"
    return "\n".join([header, rule, *body])


def _rows(measurements: list[Measurement]) -> Iterator[list[str]]:
    """Yield a row per workload, number of clients and target, the shop first."""
    for (workload, clients), group in groupby(measurements, itemgetter("workload", "clients")):
        by_target: dict[str, list[Measurement]] = defaultdict(list)
        for measurement in group:
            by_target[measurement["target"]].append(measurement)
        for target, rounds in sorted(by_target.items(), key=lambda item: item[0] != SHOP):
            medians = [middle([each[key] for each in rounds if key in each]) for key in COLUMNS]
            spreads = [_spread(ratios(by_target[SHOP], rounds, key)) if target != SHOP else "" for key in RATIOS]
            yield [workload, str(clients), target, *medians, *spreads]


def ratios(shop: list[Measurement], other: list[Measurement], key: str) -> list[float]:
    """Return the shop's values divided by the other target's values of the same rounds, in ascending order."""
    by_round = {measurement["round"]: measurement[key] for measurement in other}
    return sorted(each[key] / by_round[each["round"]] for each in shop if by_round.get(each["round"]))


def line(measurement: Measurement) -> str:
    """Return one measurement as a line."""
    return ", ".join(f"{title} {number(measurement[key])}" for key, title in COLUMNS.items() if key in measurement)


def number(value: float) -> str:
    """Return a value with three digits."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def middle(values: list[float]) -> str:
    """Return the median of some values with three digits, "" without any."""
    return number(median(values)) if values else ""


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})" if values else ""
