"""The HTTP server of a background program."""

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from chassis import heartbeat as heartbeats
from chassis import probes
from chassis.config import BackgroundSettings, ConfigurationError
from chassis.heartbeat import Heartbeat
from chassis.telemetry import metrics, programs
from deploy import healthcheck
from tests.waiting import until
from tools.stack.ports import free_ports


def settings(port: int) -> BackgroundSettings:
    url = "mongodb://127.0.0.1:1/x"
    return BackgroundSettings(environment="development", mongo_url=url, metrics_host="127.0.0.1", metrics_port=port)


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Heartbeat()


@pytest.fixture
def server(heartbeat: Heartbeat) -> Iterator[http.client.HTTPConnection]:
    """A connection to the server of a program with this heartbeat."""
    port = free_ports(1)[0]
    programs.serve(settings(port), heartbeat.is_beating)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def get(server: http.client.HTTPConnection, path: str) -> tuple[int, str, bytes]:
    server.request("GET", path)
    answer = server.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read()


def test_it_serves_the_metrics(server: http.client.HTTPConnection) -> None:
    status, kind, body = get(server, "/metrics?name=x")
    assert (status, kind) == (200, metrics.CONTENT_TYPE)
    assert b"\nshop_heartbeat_timestamp_seconds " in body


def test_a_program_that_has_not_worked_yet_lives_and_is_not_ready(server: http.client.HTTPConnection) -> None:
    assert get(server, "/health")[0] == 200
    status, kind, body = get(server, "/ready")
    assert (status, kind, json.loads(body)) == (503, "application/json", {"status": "unavailable"})


def test_a_program_that_works_is_ready(server: http.client.HTTPConnection, heartbeat: Heartbeat) -> None:
    heartbeat.mark_healthy()
    status, _, body = get(server, "/ready")
    assert (status, json.loads(body)) == (200, {"status": "ready"})


def test_a_program_that_has_stopped_working_is_not_ready(
    server: http.client.HTTPConnection, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.mark_healthy()
    monkeypatch.setattr(heartbeats, "MAX_AGE", 0.05)
    until(lambda: get(server, "/ready")[0] == 503, "the heartbeat is too old")
    heartbeat.misconfigurations.add("a server", "It refuses.")
    time.sleep(0.05)
    heartbeat.mark_healthy()
    assert get(server, "/ready")[0] == 503
    assert get(server, "/health")[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/metrics/x", 404), ("/readyz", 404)])
def test_it_serves_nothing_else(server: http.client.HTTPConnection, path: str, status: int) -> None:
    assert get(server, path)[0] == status


def test_a_port_that_is_in_use_is_named(server: http.client.HTTPConnection, heartbeat: Heartbeat) -> None:
    with pytest.raises(ConfigurationError, match=f"^configuration: METRICS_PORT: port {server.port}: "):
        programs.serve(settings(server.port), heartbeat.is_beating)


def test_without_a_port_nothing_is_served(heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "serve", lambda *_: pytest.fail("it is served"))
    programs.serve(settings(0), heartbeat.is_beating)


def test_the_probe_and_the_health_check_of_a_container_agree() -> None:
    assert heartbeats.MAX_AGE == healthcheck.MAX_HEARTBEAT_AGE
