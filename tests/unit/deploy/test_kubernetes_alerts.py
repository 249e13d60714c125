"""The alerts of a cluster: the shop's own, and those about its backups, which fire when they should and only then."""

import json
from pathlib import Path

import pytest

from tests.unit.deploy.kubernetes import PRODUCTION, named, of_kind
from tests.unit.deploy.monitoring import promtool
from tests.unit.tools.test_documents import leads_somewhere
from tools.kubernetes import rules
from tools.paths import ROOT

HOUR = 3600
CREATED = "kube_cronjob_created"
SUCCEEDED = "kube_cronjob_status_last_successful_time"
BACKUP_ALERTS = named(PRODUCTION, "PrometheusRule", "backup")["spec"]
BY_NAME = {rule["alert"]: rule for rule in BACKUP_ALERTS["groups"][0]["rules"]}


def test_the_alerts_of_the_shop_are_those_of_deploy_monitoring() -> None:
    assert rules.FILE.read_text().startswith(rules.HEADER)
    assert named(PRODUCTION, "PrometheusRule", "shop")["spec"] == rules.prometheus_rule()["spec"]


def fires(folder: Path, alert: str, series: dict[str, int], hours: int) -> bool:
    """Return whether an alert fires so many hours after 1970, with these series, each of one value."""
    (folder / "rules.yml").write_text(json.dumps(BACKUP_ALERTS))  # JSON is YAML
    job = "backup" if alert == "BackupTooOld" else "restore-drill"
    labels = f'{{namespace="shop", cronjob="{job}"}}'
    inputs = [{"series": name + labels, "values": f"{value}x{hours * 60}"} for name, value in series.items()]
    expected = {"eval_time": f"{hours}h", "alertname": alert, "exp_alerts": []}
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": [expected]}
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    tested = promtool("test", "rules", folder / "test.yml")
    assert "SUCCESS" in tested.stdout or "got:" in tested.stderr + tested.stdout
    return bool(tested.returncode)


@pytest.mark.parametrize(
    ("alert", "series", "hours", "is_fired"),
    [
        ("BackupTooOld", {SUCCEEDED: 10 * HOUR, CREATED: 0}, 12, False),
        ("BackupTooOld", {SUCCEEDED: 10 * HOUR, CREATED: 0}, 15, True),
        ("BackupTooOld", {CREATED: 10 * HOUR}, 12, False),
        ("BackupTooOld", {CREATED: 10 * HOUR}, 15, True),
        ("BackupTooOld", {}, 15, False),  # without the component
        ("RestoreDrillFailed", {SUCCEEDED: 0, CREATED: 0}, 8 * 24, False),
        ("RestoreDrillFailed", {SUCCEEDED: 0, CREATED: 0}, 8 * 24 + 3, True),
    ],
)
def test_an_alert_about_backups_fires_when_the_last_success_is_too_old(
    tmp_path: Path, alert: str, series: dict[str, int], hours: int, is_fired: bool
) -> None:
    assert fires(tmp_path, alert, series, hours) is is_fired


@pytest.mark.parametrize("name", BY_NAME)
def test_an_alert_about_backups_is_about_a_cronjob_that_runs_and_leads_to_the_page(name: str) -> None:
    rule = BY_NAME[name]
    job = "backup" if name == "BackupTooOld" else "restore-drill"
    assert rule["expr"].count(f'cronjob="{job}"') == 2
    assert job in {each["metadata"]["name"] for each in of_kind(PRODUCTION, "CronJob")}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert "Look first" in rule["annotations"]["description"]
    assert leads_somewhere(ROOT / "README.md", rule["annotations"]["runbook_url"])
