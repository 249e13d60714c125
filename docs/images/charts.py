"""Charts as HTML and inline SVG, for the pictures of the documentation: lines, bars, numbers, and a trace."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.observe.spans import Span
from tools.observe.waterfall import in_order, notes

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c6d31", "#6a3d9a", "#7f7f7f", "#b2182b")
LEGEND_ROW = 16  # pixels
STYLE = """
body {margin: 0; padding: 14px; background: #f4f5f5; color: #24292e; font: 12px/16px "DejaVu Sans", sans-serif}
h1 {font-size: 17px; margin: 0 0 12px}
.grid {position: relative}
.panel {position: absolute; box-sizing: border-box; background: #fff; border: 1px solid #dcdfe3; padding: 6px 8px}
.panel {border-radius: 3px; overflow: hidden}
.panel h2 {font-size: 12px; margin: 0 0 4px; white-space: nowrap}
.number {font-size: 24px; line-height: 38px}
.none {color: #8b949e; text-align: center; padding-top: 20px}
.legend {display: flex; flex-wrap: wrap; gap: 0 12px; overflow: hidden; font-size: 11px; color: #57606a}
.legend i {display: inline-block; width: 10px; height: 3px; margin: 0 4px 3px 0}
svg text {font-size: 10px; fill: #6e7781}
.bar {display: flex; align-items: center; gap: 6px; height: 15px; font-size: 10px; white-space: nowrap}
.bar b {font-weight: normal; width: 46%; overflow: hidden; text-overflow: ellipsis; text-align: right}
.bar i {height: 10px; background: #0072b2}
.trace {background: #fff; border: 1px solid #dcdfe3; padding: 6px 0}
.span {display: flex; height: 21px; align-items: center; white-space: nowrap}
.span:nth-child(even) {background: #f8f9fa}
.name {width: 620px; overflow: hidden; text-overflow: ellipsis; box-sizing: border-box}
.program {color: #fff; border-radius: 3px; padding: 0 5px; margin-right: 7px; font-size: 10px}
.note {color: #6e7781}
.time {position: relative; flex: 1; margin-right: 90px; height: 100%}
.time i {position: absolute; top: 5px; height: 11px; border-radius: 2px; min-width: 2px}
.time span {position: absolute; top: 2px; font-size: 10px; color: #57606a}
"""


@dataclass(frozen=True)
class Series:
    """A line of a chart: its name, and (seconds since 1970, value) in the order of time."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """Return the last value."""
        return self.points[-1][1]


def page(title: str, content: str) -> str:
    """Return an HTML document."""
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><h1>{html.escape(title)}</h1>{content}"


def panel(place: Mapping[str, int], title: str, content: str, column: float, row: float) -> str:
    """Return a panel at its place in the grid of a dashboard; `column` and `row` are the sizes of a cell in pixels."""
    left, top, width, height = place["x"] * column, place["y"] * row, place["w"] * column - 8, place["h"] * row - 8
    style = f"left:{left:.0f}px; top:{top:.0f}px; width:{width:.0f}px; height:{height:.0f}px"
    return f'<div class=panel style="{style}"><h2>{html.escape(title)}</h2>{content}</div>'


def number(series: Sequence[Series], unit: str) -> str:
    """Return the last value in large letters."""
    return f"<div class=number>{text(series[0].last, unit)}</div>" if series else _nothing()


def bars(series: Sequence[Series], unit: str) -> str:
    """Return a bar for each last value, the longest first."""
    ordered = sorted(series, key=lambda each: each.last, reverse=True)
    largest = max((each.last for each in ordered), default=0) or 1
    rows = (
        f"<div class=bar><b>{html.escape(each.name)}</b><i style='width:{40 * each.last / largest:.1f}%'></i>"
        f"{text(each.last, unit)}</div>"
        for each in ordered
    )
    return "".join(rows) or _nothing()


def table(series: Sequence[Series]) -> str:
    """Return the names of the series, one on a line."""
    return "".join(f"<div>{html.escape(each.name)}</div>" for each in series) or _nothing()


def lines(series: Sequence[Series], unit: str, period: tuple[float, float], width: float, height: float) -> str:
    """Return a chart with a line for each series, and a legend below it."""
    if not series:
        return _nothing()
    start, end = period
    rows = 1 if sum(6.5 * len(each.name) + 26 for each in series) <= width else 2  # of the legend
    height -= LEGEND_ROW * rows
    left, upper, bottom = 52.0, 9.0, height - 16
    top = max((value for each in series for _, value in each.points), default=0) or 1
    low = min(0.0, *(value for each in series for _, value in each.points))

    def x(at: float) -> float:
        return left + (at - start) / (end - start) * (width - left)

    def y(value: float) -> float:
        return bottom - (value - low) / (top - low) * (bottom - upper)

    parts = []
    for value in (low, (low + top) / 2, top):
        parts.append(f"<line x1={left} x2={width} y1={y(value):.1f} y2={y(value):.1f} stroke=#e6e8eb />")
        parts.append(f"<text x={left - 5} y={y(value) + 3:.1f} text-anchor=end>{text(value, unit)}</text>")
    for at in (start + (end - start) * part / 4 for part in range(1, 4)):
        clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
        parts.append(f"<text x={x(at):.1f} y={height - 2} text-anchor=middle>{clock}</text>")
    for colour, each in zip(_colours(series), series, strict=True):
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in each.points)
        parts.append(f'<polyline points="{points}" fill=none stroke={colour} stroke-width=1.6 />')
    legend = "".join(
        f"<span><i style='background:{colour}'></i>{html.escape(each.name)}</span>"
        for colour, each in zip(_colours(series), series, strict=True)
    )
    drawing = f"<svg width={width:.0f} height={height:.0f}>{''.join(parts)}</svg>"
    return f"{drawing}<div class=legend style=height:{LEGEND_ROW * rows}px>{legend}</div>"


def trace(spans: Sequence[Span]) -> str:
    """Return a trace as a waterfall: a line for each span, with a bar for its time."""
    tree = list(in_order(spans))
    known = {span.span_id: span for _, span in tree}
    first, last = min(span.start for span in known.values()), max(span.end for span in known.values())
    programs = list(dict.fromkeys(span.program for _, span in tree))
    rows = (_span(depth, span, known, first, last, COLOURS[programs.index(span.program)]) for depth, span in tree)
    return f"<div class=trace>{''.join(rows)}</div>"


def _span(depth: int, span: Span, known: Mapping[str, Span], first: int, last: int, colour: str) -> str:
    start, length = (100 * nanoseconds / (last - first) for nanoseconds in (span.start - first, span.end - span.start))
    told = html.escape("  ".join(notes(span, known)))
    milliseconds = f"{(span.end - span.start) / 1e6:.1f} ms"
    label = f"left:calc({start + length:.2f}% + 5px)"
    if start + length > 88:  # it would not fit on the right of the bar
        label = f"right:calc({100 - start:.2f}% + 5px)"
    return (
        f"<div class=span><div class=name style='padding-left:{8 + 18 * depth}px'>"
        f"<span class=program style='background:{colour}'>{span.program}</span>{html.escape(span.name)} "
        f"<span class=note>{told}</span></div><div class=time>"
        f"<i style='left:{start:.2f}%; width:{length:.2f}%; background:{colour}'></i>"
        f"<span style='{label}'>{milliseconds}</span></div></div>"
    )


def text(value: float, unit: str) -> str:
    """Return a value with its unit, as short as possible."""
    if unit == "s" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MB"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bool_yes_no":
        return "yes" if value > 0.5 else "no"
    suffix = {"s": " s", "reqps": "/s", "ops": "/s", "cpm": "/min"}.get(unit, "")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}") + suffix


def _colours(series: Sequence[Series]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(series))]


def _nothing() -> str:
    return "<div class=none>No data</div>"
