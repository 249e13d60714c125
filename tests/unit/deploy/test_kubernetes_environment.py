"""Every program starts with the environment that a cluster gives it, and reads each of its variables."""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import notification_service.config
import order_service.config
import product_service.config
import user_service.config
from chassis.config import ConfigurationError, DatabaseSettings, EnvironmentSettings
from deploy.config import BackupSettings, BrokerSettings, ProvisioningSettings
from tests.unit.deploy.kubernetes import DEMO, PRODUCTION, Resource, containers, named, of_kind, pods
from tests.unit.deploy.kubernetes_page import secrets_of_the_page

SETTINGS: dict[str, type[EnvironmentSettings]] = {
    "user-service": user_service.config.Settings,
    "product-service": product_service.config.Settings,
    "order-service": order_service.config.Settings,
    "order-worker": order_service.config.WorkerSettings,
    "notification-service": notification_service.config.Settings,
    "notification-consumer": notification_service.config.ConsumerSettings,
    "provisioning": ProvisioningSettings,
}
OF_JOBS: dict[tuple[str, str], type[EnvironmentSettings]] = {
    ("backup", "backup"): BackupSettings,
    ("restore-drill", "restore"): BackupSettings,
    ("restore", "data"): BackupSettings,
    ("restore", "tokens"): DatabaseSettings,
    ("restore", "queues"): BrokerSettings,
    ("reconcile", "history"): notification_service.config.ConsumerSettings,
    ("reconcile", "orders"): order_service.config.RecoverySettings,
}
OF_GUNICORN = {"WEB_CONCURRENCY"}
OF_OPERATORS = {
    "mongodb-admin": {"connectionString.standard": "mongodb://admin:x7@mongodb-0,mongodb-1/admin?replicaSet=mongodb"},
    "rabbitmq-default-user": {"connection_string": "amqp://default_user:x7@rabbitmq.shop.svc:5672/"},
}
Secrets = dict[str, dict[str, str]]


def of_the_demo() -> Secrets:
    decode: Callable[[str], str] = lambda text: base64.b64decode(text).decode()  # noqa: E731
    return {
        each["metadata"]["name"]: {key: decode(value) for key, value in each["data"].items()}
        for each in of_kind(DEMO, "Secret")
    }


def of_production() -> Secrets:
    return {**secrets_of_the_page(), **OF_OPERATORS}


TREES = {"demo": (DEMO, of_the_demo), "production": (PRODUCTION, of_production)}
EVERY_PROGRAM = pytest.mark.parametrize(
    ("overlay", "program"), [(overlay, program) for overlay in TREES for program in SETTINGS]
)


def environment(overlay: str, program: str) -> dict[str, str]:
    """Return the variables of a program."""
    workload = named(TREES[overlay][0], "Job" if program == "provisioning" else "Deployment", program)
    return variables_of(overlay, workload["spec"]["template"]["spec"]["containers"][0])


def variables_of(overlay: str, container: Resource) -> dict[str, str]:
    """Return the variables of a container as Kubernetes sets them: the later one of two counts."""
    tree, secrets = TREES[overlay][0], TREES[overlay][1]()
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(tree, "ConfigMap")}
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= maps[source["configMapRef"]["name"]] if "configMapRef" in source else {}
        variables |= secrets[source["secretRef"]["name"]] if "secretRef" in source else {}
    for each in container.get("env", []):
        variables[each["name"]] = each.get("value", "")
        for kind, reference in each.get("valueFrom", {}).items():
            variables[each["name"]] = (secrets if kind == "secretKeyRef" else maps)[reference["name"]][reference["key"]]
    return variables


def load(
    monkeypatch: pytest.MonkeyPatch, settings: type[EnvironmentSettings], variables: dict[str, str]
) -> EnvironmentSettings:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.load()


@EVERY_PROGRAM
def test_a_program_starts_and_knows_every_variable(monkeypatch: pytest.MonkeyPatch, overlay: str, program: str) -> None:
    variables = environment(overlay, program)
    known = {name.upper() for name in SETTINGS[program].model_fields}
    settings: Any = load(monkeypatch, SETTINGS[program], variables)
    assert settings.environment == ("development" if overlay == "demo" else "production")
    assert variables.keys() - known - (OF_GUNICORN if "WEB_THREADS" in variables else set()) == set()


@EVERY_PROGRAM
def test_no_required_variable_can_be_left_out(monkeypatch: pytest.MonkeyPatch, overlay: str, program: str) -> None:
    variables = environment(overlay, program)
    required = {name.upper() for name, each in SETTINGS[program].model_fields.items() if each.is_required()}
    assert required <= variables.keys()
    for name in sorted(required):
        with pytest.raises(ConfigurationError, match=f"{name} is not set"):
            load(monkeypatch, SETTINGS[program], {key: value for key, value in variables.items() if key != name})


@pytest.mark.parametrize("program", SETTINGS)
def test_production_refuses_the_environment_of_the_demo(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    variables = environment("demo", program)
    del variables["ENVIRONMENT"]
    with pytest.raises(ConfigurationError, match="demo value"):
        load(monkeypatch, SETTINGS[program], variables)


@pytest.mark.parametrize("program", ["order-service", "order-worker"])
def test_each_program_has_only_the_secrets_that_it_uses(program: str) -> None:
    assert ("RABBITMQ_URL" in environment("production", program)) is (program == "order-worker")


def test_the_provisioning_creates_the_accounts_that_the_services_use() -> None:
    created = environment("production", "provisioning")
    for program, name in (
        *((f"{service}-service", f"{service.upper()}_SERVICE_MONGO_URL") for service in ("user", "product", "order")),
        ("notification-service", "NOTIFICATION_SERVICE_MONGO_URL"),
    ):
        assert created[name] == environment("production", program)["MONGO_URL"]
    for program, name in (
        ("order-worker", "ORDER_SERVICE_RABBITMQ_URL"),
        ("notification-consumer", "NOTIFICATION_SERVICE_RABBITMQ_URL"),
    ):
        assert created[name] == environment("production", program)["RABBITMQ_URL"]


def test_the_hosts_of_the_database_are_the_members_that_its_operator_makes() -> None:
    spec = named(PRODUCTION, "MongoDBCommunity", "mongodb")["spec"]
    members = [f"mongodb-{n}.mongodb-svc.shop.svc.cluster.local:27017" for n in range(spec["members"])]
    for program in ("user-service", "product-service", "order-service", "notification-service"):
        url = environment("production", program)["MONGO_URL"]
        assert url.partition("@")[2] == f"{','.join(members)}/{program.replace('-', '_')}?replicaSet=mongodb"


def test_programs_find_each_other_by_the_names_and_ports_of_their_services() -> None:
    for overlay, (tree, _) in TREES.items():
        services = {each["metadata"]["name"]: each["spec"]["ports"] for each in of_kind(tree, "Service")}
        services.setdefault("rabbitmq", [{"port": 5672}])  # of its operator
        for program in SETTINGS:
            text = " ".join(environment(overlay, program).values())
            for name, port in re.findall(r"(?:http|amqp)://(?:\S+?@)?([a-z-]+):(\d+)", text):
                assert int(port) in {each["port"] for each in services[name]}, (program, name)


def test_the_page_has_every_variable_of_its_template() -> None:
    template = Path(__file__).parents[3] / "deploy/gateway/storefront.conf.template"
    expected = set(re.findall(r"\$\{(\w+)\}", template.read_text()))
    for tree in (DEMO, PRODUCTION):
        data: Resource = named(tree, "ConfigMap", "storefront")["data"]
        assert data.keys() == expected
        assert {value for name, value in data.items() if name.endswith("_PORT")} == {"5001", "5002", "5003", "5004"}


@pytest.mark.parametrize(("job", "name"), OF_JOBS)
def test_a_job_of_the_backup_starts(monkeypatch: pytest.MonkeyPatch, job: str, name: str) -> None:
    pod = named(PRODUCTION, "CronJob", job)["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = (each for each in containers(pod) if each["name"] == name)
    load(monkeypatch, OF_JOBS[job, name], variables_of("production", container))


def test_every_job_of_the_backup_is_known() -> None:
    programs = {
        (each["metadata"]["name"], container["name"])
        for each, pod in pods(PRODUCTION)
        for container in containers(pod)
        if each["kind"] == "CronJob" and container["image"].partition("@")[0] != "mongo"
    }
    assert programs == OF_JOBS.keys()
