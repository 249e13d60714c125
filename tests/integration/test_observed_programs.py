"""What each program serves and loads for its observation, in real processes, without any other server.

Their databases and brokers are away: a program that is observed must be so then, too.
"""

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.counted import samples
from tests.waiting import until
from tools.paths import ROOT
from tools.stack.ports import free_ports

NOWHERE = "127.0.0.1:9"  # nobody listens there
FOLDERS = [ROOT, *(ROOT / f"{service}-service" for service in ("user", "product", "order", "notification"))]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)),
    "ENVIRONMENT": "development",
    "MONGO_URL": f"mongodb://{NOWHERE}/shop?serverSelectionTimeoutMS=200",
    "RABBITMQ_URL": f"amqp://{NOWHERE}/",
    "JWKS_URL": f"http://{NOWHERE}/",
    "PRODUCT_SERVICE_URL": f"http://{NOWHERE}/",
    "TOKEN_URL": f"http://{NOWHERE}/",
    "CLIENT_SECRET": "a secret",
    "SERVICE_CLIENTS": "order-service:a secret",
    "METRICS_HOST": "127.0.0.1",
    "WEB_CONCURRENCY": "1",
}
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{NOWHERE}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
BACKGROUND = {"order-worker": "order_service.worker", "notification-consumer": "notification_service.consumer"}
WEB = ("user_service", "product_service", "order_service", "notification_service")
COMMANDS = (
    ("order_service.audit",),
    ("notification_service.audit",),
    ("notification_service.dead_letters", "list"),
)
IMPORTED = re.compile(r"^import time: .*\| +(\S+)$", re.MULTILINE)


@contextmanager
def running(name: str, folder: Path, port: int, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program; it writes the modules that it imports to `folder / "imports"`."""
    if name in BACKGROUND:
        command, settings = ["-m", BACKGROUND[name]], settings | {"METRICS_PORT": str(port)}
    else:
        gunicorn = str(Path(sys.executable).parent / "gunicorn")
        command = [gunicorn, "-c", "deploy/gunicorn.conf.py", "-b", f"127.0.0.1:{port}", f"{name}:create_app()"]
    with (folder / "imports").open("w") as imports:
        started = [sys.executable, "-X", "importtime", *command]
        with subprocess.Popen(
            started, cwd=ROOT, env=ENVIRONMENT | settings, text=True, stdout=subprocess.DEVNULL, stderr=imports
        ) as program:
            try:
                yield program
            finally:
                program.terminate()


def metrics_of(port: int) -> dict[str, float]:
    """Return what a program shows at the port, nothing before it listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/metrics")
        return samples(connection.getresponse().read().decode())
    return {}


@pytest.mark.parametrize("name", [*WEB, *BACKGROUND])
@pytest.mark.parametrize("collector", [{}, COLLECTOR, COLLECTOR | {"OTEL_SDK_DISABLED": "true"}])
def test_opentelemetry_is_loaded_only_for_a_collector_and_delays_no_exit(
    name: str, collector: dict[str, str], tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    with running(name, tmp_path, port, **collector) as program:
        until(lambda: metrics_of(port), "it shows its metrics")
        program.terminate()
        started = time.monotonic()
        program.wait(60)
        assert time.monotonic() - started < 15
    imported = set(IMPORTED.findall((tmp_path / "imports").read_text()))
    assert len(imported) > 300
    libraries = {module.split(".")[0] for module in imported}
    assert ("opentelemetry" in libraries, "prometheus_client" in libraries) == (collector == COLLECTOR, True)


@pytest.mark.parametrize("name", BACKGROUND)
def test_a_background_program_shows_that_it_lives_while_its_servers_are_away(name: str, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with running(name, tmp_path, port):
        beat = until(lambda: metrics_of(port).get("shop_heartbeat_timestamp_seconds"), "it beats")
        assert abs(time.time() - beat) < 10
        until(lambda: metrics_of(port)["shop_heartbeat_timestamp_seconds"] > beat, "it beats again")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_serves_no_metrics_though_it_reads_the_settings_of_a_program(
    command: tuple[str, ...],
) -> None:
    """The port is that of the program beside it, in the same container: to serve it, too, would fail."""
    with taken_port() as port:
        environment = ENVIRONMENT | {"METRICS_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
    assert "METRICS_PORT" not in done.stderr


@contextmanager
def taken_port() -> Iterator[int]:
    """Take a port, and return its number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("name", BACKGROUND)
def test_a_program_whose_port_is_taken_says_so_and_stops(name: str, tmp_path: Path) -> None:
    with taken_port() as port, running(name, tmp_path, port) as program:
        assert program.wait(60) == 1
        said = (tmp_path / "imports").read_text().splitlines()
    assert [line for line in said if not line.startswith("import time:")] == [
        f"configuration: METRICS_PORT: port {port}: [Errno 98] Address already in use"
    ]
