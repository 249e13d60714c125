"""A run's results as text, as a chart, and as the files of bench/results: one set per kind of database."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from bench.chart import chart
from bench.figures import Figures
from bench.load import BASELINE, FLOOR, SHOP, WORKLOADS
from bench.measuring import Point
from tools.paths import ROOT

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- written by ./dev bench -->\n", "<!-- end -->\n"
COLUMNS = {
    "throughput": "requests/s",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "refused": "refused",
    "broken": "broken",
    "cpu": "CPU ms",
    "cpu_database": "database",
    "cpu_broker": "broker",
    "memory": "PSS MB",
    "lag_p50": "lag p50",
    "lag_p99": "lag p99",
}
LINES = (
    ("Orders of one line, beside the naive flow", "orders-spread", BASELINE, "throughput"),
    ("CPU of all services per order, beside the naive flow", "orders-spread", BASELINE, "cpu"),
    ("Orders of a product that everybody wants, beside the naive flow", "orders-hot", BASELINE, "throughput"),
    ("A product by its id, beside an empty route with the same find", "product", FLOOR, "throughput"),
    ("p99 from the answer to the stored notification, at half of the peak load", "lag", SHOP, "lag_p99"),
)
Run = dict[str, Any]


def save(run: Run) -> list[Path]:
    """Write a run's points, tables and chart, and on the page that shows this database its figures."""
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / run["database"]
    points = ",\n".join(json.dumps(point) for point in run["points"])
    head = json.dumps({key: value for key, value in run.items() if key != "points"}, indent=1)[:-2]
    texts = {
        ".json": f'{head},\n "points": [\n{points}\n]}}\n',
        ".md": f"# Results on {run['database']}\n\n![chart]({stem.name}.svg)\n\n{text(run)}\n",
        ".svg": chart(Figures(run["points"])),
    }
    paths = {stem.with_name(stem.name + suffix): content for suffix, content in texts.items()}
    before, _, rest = PAGE.read_text().partition(BEGIN)
    shown, _, after = rest.partition(END)
    if f"{stem.name}.svg" in shown:
        block = f"{introduction(run)}\n\n{summary(run)}\n\n![chart](../bench/results/{stem.name}.svg)\n"
        paths[PAGE] = f"{before}{BEGIN}{block}{END}{after}"
    for path, content in paths.items():
        path.write_text(content)
    return list(paths)


def text(run: Run) -> str:
    """Return a run as Markdown: what was measured, the figures that matter, and a table per workload."""
    figures = Figures(run["points"])
    named = [f"## {name}\n\n{table(figures, name)}" for name in WORKLOADS if figures.clients(name)]
    return "\n\n".join(part for part in (introduction(run), summary(run), *named) if part)


def introduction(run: Run) -> str:
    """Return what was measured, where and how long."""
    where = f"{run['database']} {run['database_version']}, {run['cpus']} CPUs, Python {run['python']}"
    how = f"medians of {run['rounds']} rounds of {run['seconds']} s"
    return f"Version {run['version']}, {run['date']}, on {where}; {how}."


def table(figures: Figures, workload: str) -> str:
    """Return the table of a workload; ratios are of the same rounds: the median, the lowest and the highest."""
    rows = [(n, target) for n in figures.clients(workload) for target in figures.targets(workload, n)]
    shown = [key for key in COLUMNS if any(figures.median(workload, *row, key) is not None for row in rows)]
    compared = ["throughput", "cpu"] if any(figures.ratios(workload, *row, "cpu") for row in rows) else []
    header = ["clients", "", *(COLUMNS[key] for key in shown), *(f"shop/this, {COLUMNS[key]}" for key in compared)]
    lines = [
        [
            str(row[0]),
            row[1],
            *(number(figures.median(workload, *row, key)) for key in shown),
            *(_spread(figures.ratios(workload, *row, key)) for key in compared),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in (header, rule, *lines)
    )


def summary(run: Run) -> str:
    """Return the figures that matter, a line each; what was not measured is left out."""
    figures = Figures(run["points"])
    found = {
        title: [_figure(figures, workload, n, other, key) for n in figures.clients(workload, other)]
        for title, workload, other, key in LINES
    }
    return "\n".join(f"* **{title}:** {'; '.join(each)}" for title, each in found.items() if each)


def _figure(figures: Figures, workload: str, clients: int, other: str, key: str) -> str:
    value = f"{number(figures.median(workload, clients, SHOP, key))} {'a second' if key == 'throughput' else 'ms'}"
    ratios = figures.ratios(workload, clients, other, key)
    ratio = f", {median(ratios):.2f} times as {'many' if key == 'throughput' else 'much'}" if ratios else ""
    return f"{value} with {clients} clients{ratio}"


def line(point: Point) -> str:
    """Return a point as it is printed when it has been measured."""
    lag = f", lag p99 {number(point['lag_p99'])} ms" if "lag_p99" in point else ""
    lost = "".join(f", {point[key]} {key}" for key in ("refused", "broken") if point[key])
    cpu = " + ".join(number(point[key]) for key in ("cpu", "cpu_database", "cpu_broker"))
    latency = f"p50 {number(point['p50'])} ms, p99 {number(point['p99'])} ms"
    return f"{number(point['throughput'])}/s, {latency}, CPU {cpu} ms{lag}{lost}"


def number(value: float | None) -> str:
    """Write a figure with three digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
