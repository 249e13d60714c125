"""The programs that build images, watch containers and wait for the broker."""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker

from deploy import broker, healthcheck, lock_subset
from tests.local_server import serving
from tools.checks import supply_chain
from tools.paths import ROOT
from tools.services import SERVICES

CONSTRAINTS = """\
flask==3.1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r requirements.txt
pika==1.3.2 \\
    --hash=sha256:cc
zope-interface==7.0 \\
    --hash=sha256:dd
"""


def report(*names: str) -> str:
    return json.dumps({"install": [{"metadata": {"name": name}} for name in names]})


def test_only_the_needed_packages_are_installed_with_all_their_hashes() -> None:
    subset = lock_subset.lock_subset(CONSTRAINTS, report("Flask", "zope.interface"))
    assert subset == (
        "flask==3.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nzope-interface==7.0 \\\n    --hash=sha256:dd\n"
    )


def test_a_package_that_is_not_pinned_stops_the_build() -> None:
    with pytest.raises(SystemExit, match=r"not in constraints\.txt: requests"):
        lock_subset.lock_subset(CONSTRAINTS, report("flask", "requests"))


@pytest.mark.parametrize(
    ("status", "body", "healthy"),
    [
        (200, {"status": "ready", "degraded": []}, True),
        (200, {"status": "ready", "degraded": ["user-service"]}, True),
        (200, {"status": "ready", "degraded": ["user-service"], "refused": ["user-service"]}, False),
        (200, None, False),
        (503, {}, False),
    ],
)
def test_a_web_service_is_healthy_when_it_is_ready_and_not_misconfigured(status: int, body: Any, healthy: bool) -> None:
    def answer(asked: Any) -> tuple[int, Any]:
        return (status if asked.path == "/ready" else 404), body

    with serving(answer) as server:
        assert healthcheck.is_ready(server.url) is healthy


def test_a_web_service_that_does_not_listen_is_not_healthy() -> None:
    assert not healthcheck.is_ready("http://127.0.0.1:1")


@pytest.mark.parametrize(("age", "healthy"), [(0, True), (14, True), (16, False)])
def test_a_background_program_is_healthy_while_its_heart_beats(tmp_path: Path, age: float, healthy: bool) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (time.time() - age,) * 2)
    assert healthcheck.beats(heartbeat) is healthy


def test_a_program_that_never_had_a_heartbeat_is_not_healthy(tmp_path: Path) -> None:
    assert not healthcheck.beats(tmp_path / "heartbeat")


@pytest.mark.parametrize(
    "failure",
    [
        socket.gaierror("the name is not known yet"),
        AMQPConnectionError(),
        AMQPConnectorStackTimeout("it hangs"),
        ConnectionClosedByBroker(541, "INTERNAL_ERROR: no leader of a quorum queue in time"),
    ],
)
def test_a_broker_that_is_still_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    left = [failure, failure]

    class Connection:
        def __init__(self, _parameters: object) -> None:
            if left:
                raise left.pop()

        def __enter__(self) -> "Connection":
            return self

        def __exit__(self, *_: object) -> None:
            declared.append("closed")

        def channel(self) -> Any:
            return self

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: declared.append(name)

    declared: list[str] = []
    monkeypatch.setattr("pika.BlockingConnection", Connection)
    broker.declare_topology("amqp://rabbitmq", deadline=5)
    assert {"exchange_declare", "queue_declare", "queue_bind"} < set(declared)
    assert declared[-1] == "closed"


def test_a_broker_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_parameters: object) -> None:
        raise AMQPConnectionError

    monkeypatch.setattr("pika.BlockingConnection", refuse)
    with pytest.raises(SystemExit, match=r"RabbitMQ is not reachable at rabbitmq:5672 after 0\.1 s"):
        broker.declare_topology("amqp://rabbitmq", deadline=0.1)


def test_a_topology_that_the_broker_refuses_ends_the_provisioning_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def __init__(self, _parameters: object) -> None:
            pass

        def __enter__(self) -> "Connection":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def channel(self) -> "Connection":
            return self

        def exchange_declare(self, *_: object, **__: object) -> None:
            raise ChannelClosedByBroker(406, "PRECONDITION_FAILED - inequivalent arg")

    monkeypatch.setattr("pika.BlockingConnection", Connection)
    with pytest.raises(SystemExit, match=r"^RabbitMQ refuses contracts/topology\.json: PRECONDITION_FAILED"):
        broker.declare_topology("amqp://rabbitmq", deadline=60)


IMPORT_WITHOUT = """
import importlib, sys
blocked, modules = sys.argv[1].split(","), sys.argv[2:]
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
for module in modules:
    importlib.import_module(module)
"""


@pytest.mark.parametrize("image", supply_chain.IMAGES)
def test_an_image_has_the_packages_that_its_programs_import(image: str) -> None:
    """Import each program without the packages that only the development environment has."""
    service = next((service for service in SERVICES if service.name == image), None)
    modules = [f"{service.package}.app", *service.background.values()] if service else ["deploy.provision"]
    installed = supply_chain.packages(image)
    distributions = packages_distributions().items()
    blocked = {top for top, names in distributions if not installed & set(map(canonicalize_name, names))}
    command = [sys.executable, "-c", IMPORT_WITHOUT, ",".join(blocked), *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
