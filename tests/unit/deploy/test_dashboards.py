"""The dashboards of deploy/monitoring: a reader understands each panel, and every query is valid."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.monitoring import FOLDER, REGISTRY, promtool, registered, rules, selectors, unknown_names

FILES = sorted((FOLDER / "dashboards").glob("*.json"))
DASHBOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in FILES}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
QUERIES = [(name, panel["title"], target) for name, panel in PANELS for target in panel["targets"]]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = {"$__rate_interval": "1m", "$job": ".+"}
COLUMNS = 24  # of Grafana's grid


def label(case: tuple[str, Any]) -> str:
    return f"{case[0]}: {case[1]['title']}"


def test_the_four_dashboards_have_addresses_that_stay() -> None:
    assert {name: dashboard["uid"] for name, dashboard in DASHBOARDS.items()} == {
        "shop": "shop",
        "services": "shop-services",
        "messaging": "shop-messaging",
        "database": "shop-database",
    }
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == 4


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_panels_of_a_dashboard_have_ids_and_titles_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    places = [place for panel in panels for place in cells(panel["gridPos"])]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert len(places) == len(set(places))
    assert max(column for column, _ in places) < COLUMNS


@pytest.mark.parametrize("case", PANELS, ids=label)
def test_a_panel_has_a_unit_a_legend_and_a_description(case: tuple[str, dict[str, Any]]) -> None:
    _, panel = case
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")
    assert all(target["legendFormat"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_data_source_is_chosen_by_a_variable(name: str) -> None:
    variables = {variable["name"]: variable for variable in DASHBOARDS[name]["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert [panel["title"] for panel in DASHBOARDS[name]["panels"] if panel["datasource"] != DATASOURCE] == []
    assert all(variable["datasource"] == DATASOURCE for variable in variables.values() if variable["type"] == "query")


def test_every_query_is_valid(tmp_path: Path) -> None:
    records = [
        {"record": f"panel:query:{number}", "expr": filled(target["expr"])}
        for number, (_, _, target) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": records}]}))  # JSON is YAML
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("name", "title", "target"), QUERIES)
def test_a_query_names_only_metrics_and_labels_of_the_registry(name: str, title: str, target: dict[str, Any]) -> None:
    expr = filled(target["expr"])
    assert list(unknown_names(expr)) == []
    shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert shown <= set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", expr))))
    assert "$" not in expr
    assert not re.search(r'job=~?"[^$]', target["expr"]), "the variable $job chooses the program"


def test_every_metric_of_the_registry_is_on_a_dashboard_or_in_an_alert() -> None:
    queries = [filled(target["expr"]) for *_, target in QUERIES] + [rule["expr"] for rule in rules()]
    used = {selector.metric for query in queries for selector in selectors(query)}
    of_shop = {entry["name"] for metric in used if (entry := registered(metric))}
    assert {metric["name"] for metric in REGISTRY["metrics"]} - of_shop == set()
    assert {metric["name"] for metric in REGISTRY["rabbitmq_metrics"]} - used == set()


def test_a_runbook_that_a_panel_names_is_that_of_an_alert() -> None:
    named = {name for _, panel in PANELS for name in re.findall(r"Runbook: (\w+)\.", panel["description"])}
    assert named - {rule.get("alert") for rule in rules()} == set()


def filled(query: str) -> str:
    """Return a query as Grafana sends it: with values for its variables."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return query


def cells(position: dict[str, int]) -> list[tuple[int, int]]:
    columns = range(position["x"], position["x"] + position["w"])
    return [(column, row) for column in columns for row in range(position["y"], position["y"] + position["h"])]
