"""./dev up --observe and ./dev chaos --observe: what Prometheus is told, and the rules on a shorter scale of time."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.chaos import command as chaos
from tools.cli import main
from tools.observe import alert_run, short_rules
from tools.observe.alert_run import Outcome
from tools.observe.faults import FAULTS, Fault
from tools.observe.queries import Alert, Prometheus, QueryError
from tools.paths import MONITORING
from tools.services import METRICS, PORTS, SERVICES
from tools.stack import command, dev_secrets, prometheus, screen
from tools.stack.observers import targets
from tools.stack.prometheus import Observe, PrometheusServer
from tools.stack.readiness import StackError
from tools.stack.spec import Options, StackSpec
from tools.stack.stack import Stack

TEMPLATE = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
RULES = [
    rule
    for path in sorted((MONITORING / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]


def plan(tmp_path: Path, observe: Observe | None, **settings: str) -> StackSpec:
    secrets = dev_secrets.load(tmp_path / "secrets.json")
    return StackSpec(tmp_path, PORTS, secrets, Options(settings=settings, observe=observe))


def endpoints(spec: StackSpec) -> set[str | None]:
    return {program.environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") for program in spec.service_programs()}


def test_prometheus_scrapes_every_program_on_this_machine() -> None:
    made = prometheus.configuration(TEMPLATE, targets(PORTS, "127.0.0.1:15692"))
    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    assert {name: job["static_configs"] for name, job in jobs.items()} == {
        **{service.name: [{"targets": [f"127.0.0.1:{service.port}"]}] for service in SERVICES},
        **{name: [{"targets": [f"127.0.0.1:{port}"]}] for name, port in METRICS.items()},
        **dict.fromkeys(("rabbitmq", "rabbitmq-overview"), [{"targets": ["127.0.0.1:15692"]}]),
    }
    assert jobs["rabbitmq"]["metrics_path"] == "/metrics/detailed"
    assert not any("sd_configs" in key for job in jobs.values() for key in job)
    assert made["global"] == TEMPLATE["global"]


@pytest.mark.parametrize(("url", "address"), [("", "127.0.0.1:15777"), ("amqp://u:p@mq:5673/", "mq:15692")])
def test_the_broker_s_metrics_are_scraped_where_it_has_them(tmp_path: Path, url: str, address: str) -> None:
    ports = {**PORTS, "rabbitmq-metrics": 15777}
    options = Options(mongo_url="mongodb://m/", rabbitmq_url=url, observe=Observe())
    StackSpec(tmp_path, ports, dev_secrets.load(tmp_path / "secrets.json"), options).write_configuration()
    made = yaml.safe_load((tmp_path / "data/prometheus/prometheus.yml").read_text())
    addresses = {job["job_name"]: job["static_configs"][0]["targets"] for job in made["scrape_configs"]}
    assert (addresses["rabbitmq"], addresses["rabbitmq-overview"]) == ([address], [address])


def test_a_job_keeps_its_labels_and_one_that_does_not_run_here_is_left_out() -> None:
    template = {
        "alerting": {"alertmanagers": []},
        "scrape_configs": [
            {"job_name": "order-worker", "static_configs": [{"targets": ["x:1"], "labels": {"tier": "back"}}]},
            {"job_name": "node-exporter", "static_configs": [{"targets": ["x:2"]}]},
        ],
    }
    made = prometheus.configuration(template, {"order-worker": "127.0.0.1:9464"}, interval=0.5)
    (job,) = made["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9464"], "labels": {"tier": "back"}}]
    assert made["global"] == dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "500ms")
    assert "alerting" not in made


def test_rules_are_found_in_a_folder_with_wildcards_in_its_name(tmp_path: Path) -> None:
    rules = tmp_path / "100% *of [it]?"
    rules.mkdir()
    (rules / "a.yml").write_text("groups: []")
    server = PrometheusServer(rules / "data", 9090, targets(PORTS, "mq:15692"), Observe(rules))
    server.write_configuration()
    server.write_configuration()
    (rules / "a.yml").write_text("groups: [{name: x, rules: [{alert: X, expr: 'up =='}]}]")
    with pytest.raises(StackError, match="Prometheus cannot use its configuration"):
        server.write_configuration()


def test_observing_adds_its_programs_and_sends_all_traces_to_the_receiver(tmp_path: Path) -> None:
    spec = plan(tmp_path, Observe())
    assert {program.name: program.page for program in spec.observer_programs()} == {
        "prometheus": "http://127.0.0.1:9090",
        "traces": "http://127.0.0.1:4318",
    }
    assert endpoints(spec) == {"http://127.0.0.1:4318"}
    assert endpoints(plan(tmp_path, None)) == {None}
    assert plan(tmp_path, None).observer_programs() == []


def test_a_collector_of_ones_own_is_used_instead_of_the_receiver(tmp_path: Path) -> None:
    spec = plan(tmp_path, Observe(), OTEL_EXPORTER_OTLP_ENDPOINT="http://jaeger:4318")
    assert [program.name for program in spec.observer_programs()] == ["prometheus"]
    assert endpoints(spec) == {"http://jaeger:4318"}


def test_rabbitmq_shows_its_metrics_to_this_machine_only_when_it_is_observed(tmp_path: Path) -> None:
    for observe in (None, Observe()):
        spec = plan(tmp_path, observe)
        assert spec.rabbitmq
        spec.rabbitmq.write_configuration()
        home = spec.rabbitmq.home
        assert ("rabbitmq_prometheus" in (home / "enabled_plugins").read_text()) == bool(observe)
        told = (home / "rabbitmq.conf").read_text()
        assert ("prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = 15692\n" in told) == bool(observe)


def test_status_shows_where_the_metrics_are(tmp_path: Path) -> None:
    table = {"order-service": {"page": ""}, "order-worker": {"page": "http://127.0.0.1:9470/metrics"}, "old": {}}
    (tmp_path / "programs.json").write_text(json.dumps(table))
    lines = list(screen.status(Stack(tmp_path), unready=[]))
    assert [line.split()[0] for line in lines] == ["supervisord", "order-service", "order-worker", "old"]
    assert [line.split()[-1] for line in lines[1:3]] == ["ready", "http://127.0.0.1:9470/metrics"]


def test_a_shop_that_runs_already_is_not_observed_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "programs.json").write_text(json.dumps({"order-worker": {"page": "http://127.0.0.1:9464/metrics"}}))
    monkeypatch.setattr(command, "STATE", tmp_path)
    monkeypatch.setattr(Stack, "is_running", lambda _: True)
    assert command.up(detach=True, fresh=False, observe=True) == 1
    assert "The shop is running without --observe. Stop it first: ./dev down" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("3d", 259_200)])
def test_durations_of_prometheus_are_understood(text: str, seconds: float) -> None:
    assert short_rules.seconds(text) == seconds


def test_a_rule_is_shortened_everywhere_but_in_its_thresholds() -> None:
    rule = {
        "alert": "X",
        "expr": "time() - max(a) > 30 and rate(b[5m]) > 0.01 and max_over_time(c[3d:1m] offset 1h) > 5m_total",
        "for": "2m",
        "labels": {"long_window": "1h"},
    }
    assert short_rules.shorten(rule) == {
        **rule,
        "expr": "time() - max(a) > 30 and rate(b[12000ms]) > 0.01"
        " and max_over_time(c[12000ms:1m] offset 12000ms) > 5m_total",
        "for": "5000ms",
    }


def test_every_rule_is_shorter_afterwards_and_the_scaled_ones_have_another_threshold() -> None:
    for rule in RULES:
        short = short_rules.shorten(rule)
        has_range = "[" in rule["expr"] or rule.get("alert") in short_rules.SCALED
        assert (short["expr"] != rule["expr"]) == has_range, rule
        assert ("for" in rule) == (short.get("for") != rule.get("for")), rule
    assert {rule.get("alert") for rule in RULES} >= short_rules.SCALED


def test_the_table_of_faults_names_alerts_that_there_are() -> None:
    alerts = {rule["alert"] for rule in RULES if "alert" in rule}
    named = {alert.partition("{")[0] for fault in FAULTS for alert in fault.raises | fault.may_raise}
    assert named <= alerts
    assert all(fault.raises for fault in FAULTS)


@pytest.mark.parametrize(
    ("during", "afterwards", "failures"),
    [
        ({"A"}, set(), []),
        ({"A", "B"}, {"B"}, []),
        (set(), {"A"}, ["a fault: A did not fire"]),
        ({"A"}, {"C"}, ["a fault: C fired, which is not in the table"]),
    ],
)
def test_an_outcome_is_compared_with_the_table(during: set[str], afterwards: set[str], failures: list[str]) -> None:
    fault = Fault("a fault", lambda _: None, frozenset({"A"}), frozenset({"B"}))  # type: ignore[arg-type,return-value]
    assert list(Outcome(fault, during, afterwards).failures()) == failures
    assert list(Outcome(fault, {"A"}, not_ended={"A"}).failures()) == ["a fault: A did not end"]


def test_an_alert_is_named_with_the_labels_that_tell_which() -> None:
    labels = (("instance", "127.0.0.1:1"), ("job", "order-worker"), ("severity", "page"))
    assert str(Alert("ServiceDown", labels, True)) == "ServiceDown{job=order-worker}"
    assert str(Alert("OutboxStuck", (("severity", "page"),), True)) == "OutboxStuck"


def test_a_prometheus_that_is_away_is_said_to_be() -> None:
    with pytest.raises(QueryError, match="Prometheus at http://127.0.0.1:1 does not answer"):
        Prometheus("http://127.0.0.1:1").alerts()


def test_chaos_runs_the_table_only_if_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(chaos, "main", lambda *options: ran.append(options) or 0)
    monkeypatch.setattr(alert_run, "main", lambda server: ran.append(server) or 1)
    assert main(["chaos", "--seconds", "5"]) == 0
    assert main(["chaos", "--observe", "--mongodb", "secantusd-py"]) == 1
    assert ran == [(5.0, 1, [], ""), "secantusd-py"]
