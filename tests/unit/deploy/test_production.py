"""In production nothing starts with the secrets of the demo: each program names every one that it has."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.paths import ROOT
from tools.services import SERVICES

COMPOSE, PRODUCTION = ROOT / "docker-compose.yml", ROOT / "compose.production.yml"
SECRETS = {
    "user-service": {"MONGO_URL", "SERVICE_CLIENTS", "ADMIN_EMAIL", "ADMIN_PASSWORD"},
    "product-service": {"MONGO_URL"},
    "order-service": {"MONGO_URL", "CLIENT_SECRET"},
    "order-worker": {"MONGO_URL", "RABBITMQ_URL", "CLIENT_SECRET"},
    "notification-service": {"MONGO_URL"},
    "notification-consumer": {"MONGO_URL", "RABBITMQ_URL"},
    "provisioning": {
        *("MONGO_URL", "RABBITMQ_URL", "USER_SERVICE_MONGO_URL", "PRODUCT_SERVICE_MONGO_URL"),
        *("ORDER_SERVICE_MONGO_URL", "NOTIFICATION_SERVICE_MONGO_URL"),
        *("ORDER_SERVICE_RABBITMQ_URL", "NOTIFICATION_SERVICE_RABBITMQ_URL", "DASHBOARD_PASSWORD"),
    },
}
DEMO = re.compile(r"demo-[\w-]+|admin@example\.com|admin-password|\bguest\b")


def demo_environment(name: str) -> dict[str, str]:
    """Return the environment that docker-compose.yml gives a program where nobody sets anything."""
    variables: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"][name]["environment"]
    return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in variables.items()}


def start(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command: list[str] = yaml.safe_load(COMPOSE.read_text())["services"][name].get("command", [])
    if name == "provisioning":
        arguments = ["-m", "deploy.provision"]
    elif command[0] == "gunicorn":
        package = command[-1].partition(":")[0]
        arguments = ["-c", f"import {package}; {package}.create_app()"]
    else:
        arguments = command[1:]
    folders = [ROOT, *(ROOT / f"{service}-service" for service in ("user", "product", "order", "notification"))]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, folders)), **environment}
    return subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("number", "name"), list(enumerate(SECRETS)))
def test_demo_secrets_are_refused_by_name(number: int, name: str) -> None:
    """ENVIRONMENT is set for every other program, and left to its default for the rest, which is the same."""
    environment = {**demo_environment(name), "ENVIRONMENT": "production"}
    if number % 2:
        del environment["ENVIRONMENT"]
    done = start(name, environment)
    assert done.returncode != 0
    assert "does not accept" in done.stderr
    named = {key for key in environment if re.search(rf"\b{key}\b", done.stderr)}
    assert named - {"ENVIRONMENT"} == SECRETS[name] | ({"PAYMENT_PROVIDER"} & environment.keys())  # it is simulated
    assert not DEMO.search(done.stderr)


def test_the_provisioning_asks_for_administrators_in_production_and_for_a_number_of_seconds() -> None:
    sound = {key: re.sub(DEMO, "s3cret", value) for key, value in demo_environment("provisioning").items()}
    sound |= {"ENVIRONMENT": "production", "PROVISION_DEADLINE": "0.1"}
    for wrong, complaint in (
        ({"MONGO_URL": "mongodb://mongodb/"}, "MONGO_URL names no user and password"),
        ({"RABBITMQ_URL": "amqp://rabbitmq/"}, "RABBITMQ_URL names no user and password"),
        ({"PROVISION_DEADLINE": "soon"}, "PROVISION_DEADLINE must be a valid number"),
        ({"PROVISION_DEADLINE": "nan"}, "PROVISION_DEADLINE must be a finite number"),
        ({"PROVISION_DEADLINE": "-1"}, "PROVISION_DEADLINE must be greater than 0"),
    ):
        done = start("provisioning", {**sound, **wrong})
        assert done.returncode == 1
        assert done.stderr.startswith(f"configuration: {complaint}")


@pytest.mark.parametrize("name", SECRETS)
def test_production_refuses_every_secret_of_the_demo(name: str) -> None:
    with_demo_values = {key for key, value in demo_environment(name).items() if DEMO.search(value)}
    assert with_demo_values - {"DASHBOARD_USER", "DEMO_PRODUCTS"} == SECRETS[name]


def test_compose_for_production_demands_every_secret_and_has_none_of_the_demo(tmp_path: Path) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not there to merge the files")
    demanded = set(re.findall(r"\$\{(\w+):\?", PRODUCTION.read_text()))
    secrets = {name for name in re.findall(r"\$\{(\w+):-", COMPOSE.read_text()) if re.search("PASSWORD|SECRET", name)}
    assert secrets - demanded == {"ADMIN_PASSWORD", "STRIPE_WEBHOOK_SECRET"}  # of what a shop may do without
    environment = dict.fromkeys(sorted(demanded), "x7-of-production")
    assert "x7-of-production" in (merged := merge(tmp_path, environment).stdout)
    assert not DEMO.search(merged)
    assert merged.count("PAYMENT_PROVIDER: none") == 2
    assert "http://localhost:8080" not in json.dumps(yaml.safe_load(merged)["services"])
    for name in sorted(demanded):
        refused = merge(tmp_path, {key: value for key, value in environment.items() if key != name})
        assert (refused.returncode != 0, name in refused.stderr) == (True, True), name


def test_in_production_only_the_named_origins_may_call_each_web_service() -> None:
    programs = yaml.safe_load(PRODUCTION.read_text())["services"]
    origins = {service.name: programs[service.name]["environment"].get("CORS_ORIGINS") for service in SERVICES}
    assert set(origins.values()) == {"${CORS_ORIGINS:-}"}


def merge(home: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", "--env-file", os.devnull, "-f", str(COMPOSE), "-f", str(PRODUCTION), "config"]
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(home)), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
