"""Results as text: tables that read well in a terminal and in Markdown."""

from typing import Any

from tools.bench import results
from tools.bench.workloads import SHOP

COLUMNS = {
    "throughput": "requests/s",
    "p50": "p50 ms",
    "p95": "p95 ms",
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


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def workload(result: dict[str, Any]) -> str:
    """Return the table of a workload: medians of its rounds, and the shop's throughput and CPU as ratios."""
    points = sorted(results.medians(result["points"]), key=lambda point: (point["clients"], point["target"] != SHOP))
    shop = {point["clients"]: point for point in points if point["target"] == SHOP}
    shown = [column for column in COLUMNS if any(point.get(column) is not None for point in points)]
    rows = [
        [
            str(point["clients"]),
            point["target"],
            *(number(point.get(column)) for column in shown),
            ratio(shop.get(point["clients"]), point, "throughput"),
            ratio(shop.get(point["clients"]), point, "cpu"),
        ]
        for point in points
    ]
    return table(["clients", "", *(COLUMNS[column] for column in shown), "shop/this", "CPU shop/this"], rows)


def ratio(shop: dict[str, Any] | None, other: dict[str, Any], column: str) -> str:
    """Return the shop's figure divided by another one's, empty for the shop itself."""
    if shop is None or other is shop or not shop.get(column) or not other.get(column):
        return ""
    return f"{shop[column] / other[column]:.2f}"


def number(value: float | None) -> str:
    """Write a figure with three digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
