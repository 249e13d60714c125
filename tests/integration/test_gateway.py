"""The gateway's configuration in a real nginx: what it does not pass on. Skipped where there is no nginx."""

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.local_server import Asked, serving
from tests.waiting import until
from tools.paths import ROOT
from tools.stack.ports import free_ports

SERVICES = {5001: "product-service", 5002: "user-service", 5003: "order-service", 5004: "notification-service"}
SPELLINGS = [
    "/metrics",
    "/metrics/",
    "//metrics",
    "///metrics//",
    "/metrics?name=shop_orders_total",
    "/metrics/?x",
    "/metrics#x",
    "/%6detrics",
    "/%6D%65%74%72%69%63%73",
    "/%2fmetrics",
    "/metrics%2f",
    "/./metrics",
    "/metrics/.",
    "/products/../metrics",
    "/products/%2e%2e/metrics",
    "/METRICS",
    "/metrics/x",
    "http://shop.example/metrics",
]
OTHERS = ["/metricsx", "/products/metrics", "/products?q=/metrics", "/x%2f..%2fmetricsx", "/health"]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Gateway:
    """A gateway: its ports by those of docker compose, and what it has passed on."""

    ports: dict[int, int]
    passed_on: list[Asked]

    def send(self, target: str, *, port: int = 5003, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        """Send a request target as it is; return the status, the media type and the body."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), timeout=20) as connection:
            lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return answer.status, answer.headers["Content-Type"], answer.read()


def configuration(folder: Path, ports: dict[int, int], service_url: str) -> str:
    """Return the gateway's configuration with ports and folders of this test, and one server as all services."""
    text = (ROOT / "deploy/gateway/nginx.conf").read_text()
    for port, service in SERVICES.items():
        text = text.replace(f"listen {port};", f"listen 127.0.0.1:{ports[port]};")
        text = text.replace(f"{port} {service}:{port};", f"{ports[port]} {service_url.removeprefix('http://')};")
    text = text.replace("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{ports[8080]};")
    text = text.replace("/tmp/", f"{folder}/").replace("/dev/stdout", f"{folder}/access.log")
    return f"user root;\n{text}" if os.getuid() == 0 else text  # another user could not write to the folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    if not (nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
        pytest.skip("nginx is not installed; on Debian it is in the package nginx-light")
    folder, ports = tmp_path_factory.mktemp("gateway"), dict(zip((*SERVICES, 8080), free_ports(5), strict=True))
    with serving(lambda _asked: (200, {"service": "answers"})) as service:
        (folder / "nginx.conf").write_text(configuration(folder, ports, service.url))
        command = (nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log")
        checked = subprocess.run((*command, "-t"), capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        with subprocess.Popen((*command, "-g", "daemon off;")) as master:
            try:
                until(lambda: is_listening(ports[8080]), "the gateway listens", seconds=20)
                yield Gateway(ports, service.requests)
            finally:
                master.terminate()


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("port", SERVICES)
@pytest.mark.parametrize("target", SPELLINGS)
def test_metrics_stay_inside_however_they_are_spelled(gateway: Gateway, port: int, target: str) -> None:
    gateway.passed_on.clear()
    status, kind, body = gateway.send(target, port=port)
    assert (status, kind, gateway.passed_on) == (404, "application/problem+json", [])
    assert {"type": "not-found", "title": "Not Found", "status": 404}.items() <= json.loads(body).items()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_metrics_stay_inside_whatever_the_method(gateway: Gateway, method: str) -> None:
    gateway.passed_on.clear()
    assert (gateway.send("/metrics", method=method)[0], gateway.passed_on) == (404, [])


@pytest.mark.parametrize("target", OTHERS)
def test_other_paths_are_passed_on_as_they_are(gateway: Gateway, target: str) -> None:
    gateway.passed_on.clear()
    assert gateway.send(target)[0] == 200
    assert [asked.path for asked in gateway.passed_on] == [target]


def test_a_stranger_does_not_decide_which_traces_are_recorded(gateway: Gateway) -> None:
    gateway.passed_on.clear()
    for name in ("traceparent", "Traceparent", "TRACEPARENT"):
        assert gateway.send("/orders", **{name: TRACEPARENT, "tracestate": "vendor=1", "X-Request-ID": "r-7"})[0] == 200
    for asked in gateway.passed_on:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        assert headers.keys() & {"traceparent", "tracestate"} == set()
        assert headers["x-request-id"] == "r-7"
    assert len(gateway.passed_on) == 3
