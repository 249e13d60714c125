"""What docker-compose.yml takes away from every container, and who may talk to whom."""

import re
from typing import Any

import pytest
import yaml

from tools import services
from tools.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WRITES_TO_ITS_IMAGE = {"rabbitmq"}
WEB = {service.name for service in services.SERVICES}
DEPENDENCIES = {
    "gateway": {"user-service", "product-service", "order-service", "notification-service"},
    "user-service": {"mongodb"},
    "product-service": {"mongodb", "user-service"},
    "order-service": {"mongodb", "user-service", "product-service"},
    "order-worker": {"mongodb", "user-service", "product-service", "rabbitmq"},
    "notification-service": {"mongodb", "user-service"},
    "notification-consumer": {"mongodb", "rabbitmq"},
    "provisioning": {"mongodb", "rabbitmq"},
}
NEVER = [
    ("gateway", "mongodb"),
    ("gateway", "rabbitmq"),
    ("user-service", "rabbitmq"),
    ("product-service", "rabbitmq"),
    ("order-service", "rabbitmq"),
    ("notification-service", "rabbitmq"),
    ("mongodb", "rabbitmq"),
    *(
        (name, other)
        for name in SERVICES
        for other in SERVICES
        if {name, other} >= {"notification-consumer", "gateway"}
    ),
    *(("notification-service", other) for other in ("product-service", "order-service", "order-worker")),
    *(("notification-consumer", other) for other in ("user-service", "product-service", "order-service")),
]


def reach(one: str, other: str) -> bool:
    return bool(set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name not in WRITES_TO_ITS_IMAGE)
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if "image" in SERVICES[name]])
def test_a_foreign_image_does_not_run_as_root(name: str) -> None:
    assert int(SERVICES[name]["user"].split(":")[0]) > 0


def test_our_images_do_not_run_as_root() -> None:
    stages = (ROOT / "deploy/Dockerfile").read_text().split("\nFROM ")
    started = [stage for stage in stages if stage.split("\n")[0].endswith(("AS provisioning", "AS service"))]
    assert len(started) == 2
    assert all("\nUSER shop\n" in stage for stage in started)


def test_only_the_gateway_and_the_dashboard_are_published_and_only_to_this_host() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gateway", "rabbitmq"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_containers_that_need_one_another_share_a_network() -> None:
    assert [(one, other) for one in DEPENDENCIES for other in DEPENDENCIES[one] if not reach(one, other)] == []


@pytest.mark.parametrize(("one", "other"), NEVER)
def test_other_containers_share_no_network(one: str, other: str) -> None:
    assert not reach(one, other)


def test_only_four_networks_lead_out_and_no_database_is_on_one() -> None:
    outward = {name for name, options in COMPOSE["networks"].items() if not (options or {}).get("internal")}
    assert outward == {"edge", "dashboard", "mail", "payment"}
    on_one = {name: outward & set(service["networks"]) for name, service in SERVICES.items()}
    assert {name: networks for name, networks in on_one.items() if networks} == {
        "gateway": {"edge"},
        "rabbitmq": {"dashboard"},
        "notification-consumer": {"mail"},
        "order-service": {"payment"},
        "order-worker": {"payment"},
    }


def test_every_image_is_of_a_minor_version() -> None:
    dockerfiles = [(ROOT / "deploy" / name).read_text() for name in ("Dockerfile", "gateway/Dockerfile")]
    built_on = [image for text in dockerfiles for image in re.findall(r"^FROM (\S+:\S+)", text, re.MULTILINE)]
    images = {service["image"] for service in SERVICES.values() if "image" in service} | set(built_on)
    assert {image.partition(":")[0] for image in images} == {"mongo", "rabbitmq", "nginx", "python"}
    assert all(re.fullmatch(r"[a-z]+:[0-9]+\.[0-9]+(-[a-z]+)?", image) for image in images), images


def test_mongodb_starts_on_every_kernel_and_logs_no_queries() -> None:
    assert SERVICES["mongodb"]["environment"]["GLIBC_TUNABLES"] == "glibc.pthread.rseq=1"
    command = SERVICES["mongodb"]["command"]
    assert command[command.index("--slowOpSampleRate") + 1] == "0"


def test_rabbitmq_knows_the_memory_of_its_container() -> None:
    arguments = SERVICES["rabbitmq"]["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert SERVICES["rabbitmq"]["mem_limit"] == "1g"
    assert arguments == f"-rabbit total_memory_available_override_value {1 << 30}"


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name] and name != "provisioning"])
def test_a_misconfigured_container_is_unhealthy_within_a_minute(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    start, interval = (int(check[key].removesuffix("s")) for key in ("start_period", "interval"))
    assert start + check["retries"] * interval <= 60


def test_the_page_is_there_while_a_service_is_not_ready() -> None:
    gateway = SERVICES["gateway"]
    assert {needed["condition"] for needed in gateway["depends_on"].values()} == {"service_started"}
    assert gateway["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/"


def test_the_gateway_fills_a_template_with_variables_that_compose_sets() -> None:
    gateway = SERVICES["gateway"]
    template = (ROOT / "deploy/gateway/storefront.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) == gateway["environment"].keys()
    assert any(mount.startswith("/etc/nginx/conf.d:uid=101,") for mount in gateway["tmpfs"])  # the result goes there


def test_the_page_is_told_the_ports_that_are_published() -> None:
    gateway = SERVICES["gateway"]
    published = {address.removeprefix("127.0.0.1:").rpartition(":")[0] for address in gateway["ports"]}
    told = {value for name, value in gateway["environment"].items() if name.endswith("_PORT")}
    assert published == told | {"${STOREFRONT_PORT:-8080}"}


def test_in_the_demo_the_page_may_call_every_web_service_and_so_may_those_that_are_named() -> None:
    port = "${STOREFRONT_PORT:-8080}"
    origins = {name: service["environment"].get("CORS_ORIGINS") for name, service in SERVICES.items() if name in WEB}
    assert set(origins.values()) == {f"http://localhost:{port},http://127.0.0.1:{port},${{CORS_ORIGINS:-}}"}


def test_the_older_docker_compose_can_read_the_variables() -> None:
    for file in sorted(ROOT.glob("*compose*.yml")):
        assert re.findall(r"\$\{\w+(?!\w|:?[-?][^${}]*\}).*", file.read_text()) == [], (
            file
        )  # nested, or of another kind


def test_nothing_is_mounted_from_the_clone() -> None:
    production = yaml.safe_load((ROOT / "compose.production.yml").read_text())["services"]
    mounted = [v for s in (*SERVICES.values(), *production.values()) for v in s.get("volumes", []) if v.startswith(".")]
    assert mounted == []  # nobody but its owner can read a clone under a strict umask
