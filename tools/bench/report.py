"""./dev bench report: the saved results as tables and plots, written into docs/performance.md."""

import argparse
from typing import Any

from tools.bench import floor, plots, results, tables
from tools.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by ./dev bench report -->", "<!-- end of results -->"


def run(_options: argparse.Namespace) -> None:
    """Write all saved results between the two marks of the page."""
    sections = [_database(name, found) for name, found in results.load_all().items()]
    text = PAGE.read_text()
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{''.join(sections)}{END}{tail}")
    print(f"-> {PAGE}")


def _database(name: str, found: list[dict[str, Any]]) -> str:
    known = found[0]
    intro = f"### On {name}\n\n{known['cpus']} CPUs, {known['at']}.\n\n"
    return intro + "".join(_section(result) for result in found)


def _section(result: dict[str, Any]) -> str:
    title = f"#### {result['name']}\n\n"
    if "points" in result:
        plot = plots.throughput(result)
        picture = f"![{result['name']}](../{plot.relative_to(ROOT)})\n\n" if plot else ""
        how = f"{result['rounds']} rounds of {result['seconds']:g} s, medians.\n\n"
        return f"{title}{how}{picture}{tables.workload(result)}\n\n"
    return f"{title}{_plain(result)}\n\n"


def _plain(result: dict[str, Any]) -> str:
    if "milliseconds" in result:
        stages = [f"{products} / {orders}" for products, orders in result["stages"]]
        found = result["milliseconds"].items()
        rows = [[name, *map(tables.number, times), f"{times[-1] / times[0]:.2f}"] for name, times in found]
        return tables.table(["median ms, products / orders", *stages, "growth"], rows)
    columns = [key for key, value in next(iter(result["parts"].values())).items() if isinstance(value, float)]
    rows = [[name, *(tables.number(part[key]) for key in columns)] for name, part in result["parts"].items()]
    return tables.table(["part", *(floor.COLUMNS.get(column, column) for column in columns)], rows)
