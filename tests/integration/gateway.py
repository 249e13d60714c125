"""The gateway's configuration in a real nginx, for tests; they are skipped where there is no nginx."""

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from tests.local_server import Asked, serving
from tests.waiting import until
from tools.paths import ROOT
from tools.stack.ports import free_ports

GATEWAY = ROOT / "deploy" / "gateway"
SERVICES = {5001: "product-service", 5002: "user-service", 5003: "order-service", 5004: "notification-service"}
STOREFRONT = 8080
AWAY = 5004  # the port of a service that does not answer in these tests
# What docker-compose.yml sets where nobody sets anything.
PORTS = {"PRODUCT_PORT": "5001", "USER_PORT": "5002", "ORDER_PORT": "5003", "NOTIFICATION_PORT": "5004"}
ENVIRONMENT = {**PORTS, **{f"PUBLIC_{name.removesuffix('_PORT')}_SERVICE_URL": "" for name in PORTS}}


@dataclass
class Gateway:
    """A gateway: its ports by those of docker compose, what it has passed on, and its log."""

    ports: dict[int, int]
    passed_on: list[Asked]
    access_log: Path

    def ask(
        self, target: str, *, port: int = 5003, method: str = "GET", source: str = "127.0.0.1", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request target as it is; return the response and its body."""
        address = ("127.0.0.1", self.ports[port])
        with socket.create_connection(address, timeout=20, source_address=(source, 0)) as connection:
            lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return answer, answer.read()

    def send(self, target: str, *, port: int = 5003, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        """Send a request target as it is; return the status, the media type and the body."""
        answer, body = self.ask(target, port=port, method=method, **headers)
        return answer.status, answer.headers["Content-Type"], body


@contextmanager
def running(
    folder: Path,
    environment: Mapping[str, str] = ENVIRONMENT,
    site: Path = ROOT / "storefront",
    *,
    proxied: bool = False,
) -> Iterator[Gateway]:
    """Run nginx in a folder, with one server as all services but one; `proxied` is how it runs in production."""
    if not (nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
        pytest.skip("nginx is not installed; on Debian it is in the package nginx-light")
    ports = dict(zip((*SERVICES, STOREFRONT), free_ports(5), strict=True))
    with serving(lambda _asked: (200, {"service": "answers"})) as service:
        _write_configuration(folder, ports, service.url, environment, site, proxied)
        command = (nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log")
        checked = subprocess.run((*command, "-t"), capture_output=True, text=True, check=False)
        assert (checked.returncode, "[warn]" in checked.stderr) == (0, False), checked.stderr
        with subprocess.Popen((*command, "-g", "daemon off;")) as master:
            try:
                until(lambda: _is_listening(ports[STOREFRONT]), "the gateway listens", seconds=20)
                yield Gateway(ports, service.requests, folder / "access.log")
            finally:
                master.terminate()


def _write_configuration(
    folder: Path, ports: dict[int, int], service_url: str, environment: Mapping[str, str], site: Path, proxied: bool
) -> None:
    """Write the gateway's configuration with ports and folders of this test."""
    added = str(GATEWAY / "behind-proxy.conf") if proxied else f"{folder}/shop.d/*.conf"
    text = (GATEWAY / "nginx.conf").read_text()
    for port, service in SERVICES.items():
        address = "127.0.0.1:1" if port == AWAY else service_url.removeprefix("http://")
        text = text.replace(f"listen {port};", f"listen 127.0.0.1:{ports[port]};")
        text = text.replace(f"{port} {service}:{port};", f"{ports[port]} {address};")
    page = Template((GATEWAY / "storefront.conf.template").read_text()).safe_substitute(environment)
    page = page.replace("listen 8080;", f"listen 127.0.0.1:{ports[STOREFRONT]};")
    for name, content in (("nginx.conf", text), ("storefront.conf", page)):
        moved = content.replace("/tmp/", f"{folder}/").replace("/dev/stdout", f"{folder}/access.log")
        moved = moved.replace("/usr/share/nginx/storefront", str(site)).replace("/etc/nginx/conf.d", str(folder))
        (folder / name).write_text(moved.replace("/etc/nginx/shop.d/*.conf", added))
    if os.getuid() == 0:  # another user could not write to the folder
        (folder / "nginx.conf").write_text(f"user root;\n{(folder / 'nginx.conf').read_text()}")


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
