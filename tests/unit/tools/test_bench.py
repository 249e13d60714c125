"""The bench's own logic: what it measures in which order, what it makes of that, and what it saves."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import command, facts, load, report, rivals
from bench.chart import chart
from bench.figures import Figures

FACTS = {"version": "abc", "date": "2026-01-01", "database": "mongod", "database_version": "8.0", "cpus": 2}
PLAIN = {"p50": 1.0, "p99": 2.0, "refused": 0, "broken": 0, "cpu_database": 1.0, "cpu_broker": 1.0, "memory": 400.0}
PAGE = f"# Title\n{report.BEGIN}![chart](../bench/results/mongod.svg)\n{report.END}The rest.\n"


def point(target: str, turn: int, throughput: float, cpu: float, workload: str = "orders-spread") -> dict[str, Any]:
    names = {"workload": workload, "clients": 8, "target": target, "round": turn}
    return {**names, **PLAIN, "throughput": throughput, "cpu": cpu}


POINTS = [
    point("baseline", 1, 100.0, 10.0),
    point("shop", 1, 150.0, 5.0),
    point("shop", 2, 30.0, 6.0),
    point("baseline", 2, 10.0, 8.0),
    point("baseline", 3, 100.0, 10.0),
    point("shop", 3, 120.0, 4.0),
]
RUN = {**FACTS, "python": "3.11", "seconds": 5, "rounds": 3, "points": POINTS}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., argparse.Namespace]:
    """Parse a command line and return what the bench would be asked for."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(command, "bench", lambda options: seen.append(options) or 0)

    def ask(*arguments: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        command.define(parser)(parser.parse_args(arguments))
        return seen[-1]

    return ask


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "performance.md"
    path.write_text(PAGE)
    monkeypatch.setattr(report, "PAGE", path)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return path


def test_only_a_whole_run_is_saved_unasked(asked: Callable[..., argparse.Namespace]) -> None:
    assert asked().save
    assert asked("--mongodb", "secantusd-py").save
    parts = (["product"], ["--rounds", "1"], ["--seconds", "2"], ["--clients", "8"], ["--only", "shop"])
    assert not any(asked(*part).save for part in parts)
    assert asked("product", "--save").save


def test_an_unknown_workload_is_refused(asked: Callable[..., argparse.Namespace]) -> None:
    with pytest.raises(SystemExit):
        asked("orders")


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        ([], ["baseline", "shop"]),
        (["--only", "shop", "baseline-kept"], ["baseline-kept", "shop"]),
        (["--beside", "."], ["beside", "shop"]),
        (["--set", "CONSUMER_THREADS=4"], ["beside", "shop"]),
        (["--beside", ".", "--only", "shop", "beside", "baseline"], ["beside", "baseline", "shop"]),
    ],
)
def test_a_workload_is_measured_on_what_is_asked_for(
    asked: Callable[..., argparse.Namespace], arguments: list[str], targets: list[str]
) -> None:
    assert command.targets_of(load.WORKLOADS["orders-spread"], asked(*arguments)) == targets


def test_rounds_alternate_between_targets_in_turn() -> None:
    workload = load.WORKLOADS["product"]
    steps = command.plan([workload], lambda _: ["floor", "shop"], [4], 2)
    assert [(turn, target) for _, _, turn, target in steps] == [(1, "floor"), (1, "shop"), (2, "shop"), (2, "floor")]
    assert {step[1] for step in command.plan([workload], lambda _: ["shop"], [], 1)} == {8, 32}


def test_every_workload_has_its_script() -> None:
    assert all((load.SCRIPTS / f"{name}.lua").exists() for name in load.WORKLOADS)


def test_ratios_are_of_the_same_rounds() -> None:
    figures = Figures(POINTS)
    assert figures.ratios("orders-spread", 8, "baseline", "throughput") == [1.2, 1.5, 3.0]
    assert figures.ratios("orders-spread", 8, "shop", "throughput") == []
    assert figures.median("orders-spread", 8, "shop", "throughput") == 120


def test_a_run_is_told_in_lines_and_tables() -> None:
    told = report.text(RUN)
    assert "* **Orders of one line, beside the naive flow:** 120 a second with 8 clients, 1.50 times as many" in told
    assert "1.50 (1.20 to 3.00) | 0.50 (0.40 to 0.75) |" in told
    assert "## product" not in told
    assert "lag" not in told


def test_a_run_is_saved_whole_with_its_version(page: Path) -> None:
    paths = report.save(RUN)
    assert [path.name for path in paths] == ["mongod.json", "mongod.md", "mongod.svg", "performance.md"]
    assert json.loads(paths[0].read_text()) == RUN
    written = page.read_text()
    assert "Version abc, 2026-01-01, on mongod 8.0, 2 CPUs" in written
    assert (written.startswith("# Title\n"), written.endswith(f"{report.END}The rest.\n")) == (True, True)


def test_the_page_shows_one_database_only(page: Path) -> None:
    report.save({**RUN, "database": "secantusd-py"})
    assert page.read_text() == PAGE


def test_the_chart_is_svg_with_a_bar_per_target() -> None:
    bars = ElementTree.fromstring(chart(Figures(POINTS))).findall(".//{*}rect[@y]")
    assert [bar.get("height") for bar in bars] == ["160.0", "133.3", "80.0", "160.0"]


def test_a_folder_without_git_has_no_version(tmp_path: Path) -> None:
    assert facts.version(tmp_path) == "unknown"


def test_a_rival_writes_as_durably_as_the_shop() -> None:
    url = rivals.database_url("mongodb://root:pw@db/admin?authSource=admin&directConnection=true", "bench_x")
    assert url == "mongodb://root:pw@db/bench_x?directConnection=true&authSource=admin&w=majority&journal=true"
