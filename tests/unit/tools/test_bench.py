"""The bench's own logic: what it measures in which order, and how it reports and saves that."""

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.bench import command, environment, measurement, report, scale, targets, wrk
from tools.bench.baseline import connect_database
from tools.paths import ROOT

GONE = 2**22  # Linux gives no process this pid
PLAIN = {"p50": 1.0, "p99": 2.0, "http_errors": 0, "socket_errors": 0, "cpu_database": 1.0, "memory": 400.0}


def measured(target: str, round_number: int, throughput: float, cpu: float) -> dict[str, Any]:
    names = {"workload": "orders-spread", "clients": 8, "target": target, "round": round_number}
    return {**names, **PLAIN, "throughput": throughput, "cpu": cpu}


MEASUREMENTS = [
    measured("baseline", 1, 100.0, 10.0),
    measured("shop", 1, 150.0, 5.0),
    measured("shop", 2, 30.0, 6.0),
    measured("baseline", 2, 10.0, 8.0),
    measured("baseline", 3, 100.0, 10.0),
    measured("shop", 3, 120.0, 4.0),
]
ENVIRONMENT = {"version": "abc", "date": "2026-01-01", "database": "mongod", "database_version": "8.0", "cpus": 2}
RUN = {**ENVIRONMENT, "python": "3.11", "seconds": 5, "rounds": 3, "measurements": MEASUREMENTS}


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., argparse.Namespace]:
    """Parse a command line and return the options that the bench would run with."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(command, "bench", lambda options: seen.append(options) or 0)

    def parse_arguments(*arguments: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        command.define(parser)(parser.parse_args(arguments))
        return seen[-1]

    return parse_arguments


def test_only_a_whole_run_is_saved_without_being_asked(parse: Callable[..., argparse.Namespace]) -> None:
    assert parse().save
    assert parse("--mongodb", "secantusd-py").save
    parts = (["product"], ["--rounds", "1"], ["--seconds", "2"], ["--clients", "8"], ["--only", "shop"])
    assert not any(parse(*part).save for part in parts)
    assert parse("product", "--save").save


def test_an_unknown_workload_is_refused(parse: Callable[..., argparse.Namespace]) -> None:
    with pytest.raises(SystemExit):
        parse("orders")


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        ([], ["baseline", "shop"]),
        (["--only", "shop"], ["shop"]),
        (["--beside", "."], ["beside", "shop"]),
        (["--set", "CONSUMER_THREADS=4"], ["beside", "shop"]),
        (["--beside", ".", "--only", "shop", "beside", "baseline"], ["beside", "baseline", "shop"]),
    ],
)
def test_a_workload_is_measured_on_the_targets_that_the_options_name(
    parse: Callable[..., argparse.Namespace], arguments: list[str], targets: list[str]
) -> None:
    steps = command.plan(parse("orders-spread", "--clients", "8", "--rounds", "1", *arguments))
    assert [target for *_, target in steps] == targets


def test_every_other_round_is_in_reverse_order(parse: Callable[..., argparse.Namespace]) -> None:
    steps = command.plan(parse("product", "--clients", "4", "--rounds", "2"))
    assert [step[2:] for step in steps] == [(1, "floor"), (1, "shop"), (2, "shop"), (2, "floor")]


def test_a_workload_has_its_usual_numbers_of_clients(parse: Callable[..., argparse.Namespace]) -> None:
    assert {step[1] for step in command.plan(parse("product"))} == {8, 32}


def test_orders_are_measured_without_payment_unless_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[dict[str, Any]] = []

    def start(command: list[str], **_: object) -> None:
        started.append(json.loads(command[-1]))
        raise OSError("it is not started")

    monkeypatch.setattr(subprocess, "Popen", start)
    chosen: list[dict[str, str]] = [{}, {"PAYMENT_PROVIDER": "simulated"}]
    for settings in chosen:
        with pytest.raises(OSError, match="not started"), targets.run_shop("shop", tmp_path, "", ROOT, settings):
            pass
    assert [options["settings"]["PAYMENT_PROVIDER"] for options in started] == ["none", "simulated"]


def test_every_workload_has_its_script() -> None:
    assert all((wrk.SCRIPTS / f"{name}.lua").exists() for name in wrk.WORKLOADS)


def test_ratios_are_of_the_same_rounds() -> None:
    shop, baseline = ([each for each in MEASUREMENTS if each["target"] == name] for name in ("shop", "baseline"))
    assert report.ratios(shop, baseline, "throughput") == [1.2, 1.5, 3.0]
    assert report.ratios(shop[:1], baseline, "cpu") == [0.5]
    assert report.ratios([], baseline, "throughput") == []


def test_a_report_has_the_environment_and_a_row_per_target_with_the_shop_first() -> None:
    heading, _, header, _, *rows = report.text(RUN).splitlines()
    assert heading == "Version abc, 2026-01-01, on mongod 8.0, 2 CPUs, Python 3.11; medians of 3 rounds of 5 s."
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells[0][:4] == ["orders-spread", "8", "shop", "120"]
    assert cells[1][:4] == ["orders-spread", "8", "baseline", "100"]
    assert cells[1][-2:] == ["1.50 (1.20 to 3.00)", "0.50 (0.40 to 0.75)"]
    assert "lag" not in header


def test_a_run_is_saved_whole_with_its_table(tmp_path: Path) -> None:
    data, page = report.save(RUN, tmp_path / "results")
    assert (data.name, page.name) == ("mongod.json", "mongod.md")
    assert json.loads(data.read_text()) == RUN
    assert page.read_text() == f"# Results on mongod\n\n{report.text(RUN)}\n"


def test_the_saved_table_is_that_of_the_saved_measurements() -> None:
    for path in report.RESULTS.glob("*.json"):
        run = json.loads(path.read_text())
        assert path.with_suffix(".md").read_text() == f"# Results on {run['database']}\n\n{report.text(run)}\n"


def test_a_folder_without_git_has_no_version(tmp_path: Path) -> None:
    assert environment.git_version(tmp_path) == "unknown"


def test_a_process_that_has_ended_takes_no_memory() -> None:
    assert measurement.pss_megabytes([os.getpid(), GONE]) > 1
    assert measurement.pss_megabytes([GONE]) == 0


def test_the_baseline_writes_as_durably_as_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://root:pw@127.0.0.1:1/admin?directConnection=true")
    monkeypatch.setenv("DATABASE", "bench_baseline")
    database = connect_database()
    assert database.name == "bench_baseline"
    assert database.write_concern.document == {"w": "majority", "j": True}
    database.client.close()


def test_the_scale_is_measured_alone(parse: Callable[..., argparse.Namespace], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(scale, "run", lambda options: seen.append(options) or 0)
    for arguments in (["scale", "product"], ["scale", "--only", "shop"], ["scale", "--beside", "."]):
        with pytest.raises(SystemExit):
            parse(*arguments)
    assert seen == []
    parser = argparse.ArgumentParser()
    command.define(parser)(parser.parse_args(["scale", "--set", "CONSUMER_THREADS=8"]))
    assert (seen[0].set, seen[0].save) == (["CONSUMER_THREADS=8"], False)


def test_a_table_of_the_scale_has_a_row_per_number_of_clients_and_replicas() -> None:
    measured = {**dict.fromkeys(scale.COLUMNS, 1.0), "clients": 32}
    measurements = [
        {**measured, "replicas": replicas, "round": round_number, "throughput": 100.0 * round_number}
        for round_number in (1, 2, 3)
        for replicas in (1, 2)
    ]
    speed = [{"round": number, "order-worker": 100.0 * number, "notification-consumer": 500.0} for number in (1, 2, 3)]
    run = {**RUN, "measurements": measurements, "catching_up": speed, "settings": ["WEB_THREADS=4"]}
    heading, _, header, _, *rows, _, last = scale.text(run).splitlines()
    assert "one worker publishes 200 events a second, one consumer stores and sends 500 e-mails" in last
    assert heading.endswith("medians of 3 rounds of 5 s. Settings: WEB_THREADS=4.")
    assert [row.replace(" ", "").split("|")[1:4] for row in (header, *rows)] == [
        ["clients", "replicas", "orders/s"],
        ["32", "1", "200"],
        ["32", "2", "200"],
    ]


def test_only_the_connections_of_the_named_processes_are_counted() -> None:
    assert scale.count([1, 2, 2, None], [2, 3]) == 2


def test_the_saved_table_of_the_scale_is_that_of_its_measurements() -> None:
    for path in scale.FOLDER.glob("*.json"):
        run = json.loads(path.read_text())
        assert path.with_suffix(".md").read_text() == f"# Results on {run['database']}\n\n{scale.text(run)}\n"
