"""What compose.observability.yml adds: whom Prometheus asks, where spans go, and what its containers may do."""

import os
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.unit.deploy.monitoring import FOLDER, PROGRAMS, load
from tools import apt
from tools.paths import ROOT
from tools.services import SERVICES

COMPOSE, OVERLAY = load(ROOT / "docker-compose.yml"), load(ROOT / "compose.observability.yml")
ADDED = sorted(OVERLAY["services"].keys() - COMPOSE["services"].keys())
JOBS = {job["job_name"]: job for job in load(FOLDER / "prometheus.yml")["scrape_configs"]}
METRICS_PORT = 9464  # of the programs without HTTP
COLLECTOR = load(FOLDER / "otel-collector.yml")
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def networks(name: str) -> set[str]:
    """Return the networks of a container, as compose merges both files."""
    return {network for file in (COMPOSE, OVERLAY) for network in file["services"].get(name, {}).get("networks", [])}


def discovery(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["dns_sd_configs"]
    return dict(found)


def test_prometheus_asks_every_program_under_its_name_at_its_port() -> None:
    ports = {service.name: service.port for service in SERVICES}
    ports |= {name: METRICS_PORT for service in SERVICES for name in service.background}
    asked = {name: discovery(job) for name, job in JOBS.items()}
    rabbitmq = {"rabbitmq": asked.pop("rabbitmq"), "rabbitmq-overview": asked.pop("rabbitmq-overview")}
    assert {name: (found["names"], found["type"], found["port"]) for name, found in asked.items()} == {
        name: ([name], "A", port) for name, port in ports.items()
    }
    assert {(*found["names"], found["type"], found["port"]) for found in rabbitmq.values()} == {
        ("rabbitmq", "A", 15692)
    }


@pytest.mark.parametrize("name", [*PROGRAMS, "rabbitmq"])
def test_prometheus_reaches_a_program_by_exactly_one_address(name: str) -> None:
    assert len(networks(name) & networks("prometheus")) == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_sends_its_spans_to_the_collector(name: str) -> None:
    endpoint = OVERLAY["services"][name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    listens = COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert endpoint == f"http://otel-collector:{listens.partition(':')[2]}"
    assert networks(name) & networks("otel-collector")


def test_the_collector_guards_its_memory_first_and_batches_last() -> None:
    pipeline = COLLECTOR["service"]["pipelines"]["traces"]
    assert pipeline["processors"] == ["memory_limiter", "tail_sampling", "batch"] == list(COLLECTOR["processors"])
    policies = {policy["type"]: policy for policy in COLLECTOR["processors"]["tail_sampling"]["policies"]}
    assert list(policies) == ["status_code", "latency", "probabilistic"]
    assert networks("otel-collector") & networks("jaeger")


@pytest.mark.parametrize("name", ADDED)
def test_an_added_container_has_no_more_rights_than_the_others(name: str) -> None:
    service = OVERLAY["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert int(service["user"].partition(":")[0]) > 0
    assert not {"cap_add", "privileged"} & service.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not any(volume.startswith((".", "/")) for volume in service.get("volumes", []))  # a clone may be unreadable


def test_the_collector_and_the_databases_stay_off_the_networks_that_lead_out() -> None:
    every = {**COMPOSE["networks"], **OVERLAY["networks"]}
    outward = {name for name, options in every.items() if not (options or {}).get("internal")}
    assert outward - set(COMPOSE["networks"]) == {"observability"}
    assert {name for name in ADDED if networks(name) & outward} == {"prometheus", "grafana", "jaeger"}
    assert {name for name in COMPOSE["services"] if networks(name) & {"observability", "telemetry"}} == set()


def test_every_image_is_of_one_version() -> None:
    images = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    built = {
        name: OVERLAY["services"][name]["build"]["target"] for name in ADDED if "build" in OVERLAY["services"][name]
    }
    assert {stage for _, stage in images} == set(built.values()) == set(built)
    named = [image for image, _ in images] + [OVERLAY["services"]["jaeger"]["image"]]
    assert all(re.fullmatch(r"[a-z-]+/[a-z-]+:v?\d+\.\d+\.\d+", image) for image in named), named


def test_grafana_finds_its_data_sources_and_dashboards() -> None:
    sources = load(FOLDER / "grafana/datasources/shop.yml")["datasources"]
    assert {source["type"]: source["url"] for source in sources} == {
        "prometheus": "http://prometheus:9090",
        "jaeger": "http://jaeger:16686",
    }
    scrape_interval = load(FOLDER / "prometheus.yml")["global"]["scrape_interval"]
    assert sources[0]["jsonData"]["timeInterval"] == scrape_interval  # $__rate_interval is four of these
    (provider,) = load(FOLDER / "grafana/dashboards/shop.yml")["providers"]
    home = OVERLAY["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert f"COPY --chmod=755 dashboards/ {provider['options']['path']}/" in DOCKERFILE
    assert home == f"{provider['options']['path']}/shop.json"
    assert (FOLDER / "dashboards/shop.json").exists()


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pager"), ("ticket", "tickets")])
def test_the_example_of_an_alertmanager_wakes_somebody_for_a_page_only(severity: str, receiver: str) -> None:
    command = ["config", "routes", "test", f"--config.file={FOLDER / 'alertmanager.yml'}", f"severity={severity}"]
    told = subprocess.run([apt.amtool(), *command], capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout.strip()) == (0, receiver)


@pytest.mark.parametrize("production", [False, True])
def test_docker_compose_accepts_it_on_top_of_the_others(production: bool) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not there to merge the files")
    files = ["docker-compose.yml", *(["compose.production.yml"] if production else []), "compose.observability.yml"]
    demanded = re.findall(r"\$\{(\w+):\?", (ROOT / "compose.production.yml").read_text())
    variables = {**os.environ, **dict.fromkeys(demanded, "x7-of-production")}
    options = ["--env-file", os.devnull, *(f"--file={file}" for file in files)]
    command = ["docker", "compose", *options, "config", "--quiet"]
    merged = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert (merged.returncode, merged.stderr) == (0, "")
