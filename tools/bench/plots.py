"""A bar chart as SVG: throughput by number of clients, one bar per target."""

from pathlib import Path
from typing import Any

from tools.bench import results, tables

COLOURS = {"shop": "#2563eb", "baseline": "#f97316", "baseline-kept": "#fdba74", "floor": "#9ca3af"}
WIDTH, HEIGHT, BAR, GAP, MARGIN = 640, 240, 26, 34, 40


def throughput(result: dict[str, Any]) -> Path | None:
    """Draw a workload's medians beside its JSON file; None if there is but one target to show."""
    points = results.medians(result["points"])
    targets = [name for name in COLOURS if any(point["target"] == name for point in points)]
    if len(targets) < 2:
        return None
    highest = max(point["throughput"] for point in points) or 1.0
    shapes, x = [], float(MARGIN)
    for clients in sorted({point["clients"] for point in points}):
        group = {point["target"]: point for point in points if point["clients"] == clients}
        shapes.append(_text(x + BAR * len(group) / 2, HEIGHT - 12, f"{clients} clients"))
        for name in targets:
            if name in group:
                shapes.append(
                    _bar(x, group[name]["throughput"] / highest, name, tables.number(group[name]["throughput"]))
                )
                x += BAR
        x += GAP
    legend = [_legend(index, name) for index, name in enumerate(targets)]
    path: Path = results.RESULTS / result["database"].partition(" ")[0] / f"{result['name']}.svg"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(WIDTH, x):.0f} {HEIGHT}" font-family="sans-serif"'
    )
    path.write_text("\n".join([f'{head} font-size="11">', *legend, *shapes, "</svg>", ""]))
    return path


def _bar(x: float, share: float, name: str, label: str) -> str:
    height = share * (HEIGHT - 2 * MARGIN - 10)
    top = HEIGHT - MARGIN + 10 - height
    bar = f'<rect x="{x:.0f}" y="{top:.1f}" width="{BAR - 3}" height="{height:.1f}" fill="{COLOURS[name]}"/>'
    return bar + _text(x + BAR / 2 - 1, top - 3, label)


def _legend(index: int, name: str) -> str:
    x = MARGIN + 130 * index
    return f'<rect x="{x}" y="6" width="10" height="10" fill="{COLOURS[name]}"/><text x="{x + 15}" y="15">{name}</text>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{text}</text>'
