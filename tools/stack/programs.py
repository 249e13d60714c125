"""The programs of a stack: their commands and environments.

The settings that only one service needs are in `service_environment`.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.paths import ROOT
from tools.services import STOREFRONT, Service, local_urls
from tools.stack import ports

INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")
ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "admin-password"  # noqa: S105 (of the demo; production refuses it)
DASHBOARD_USER = DASHBOARD_PASSWORD = "guest"  # noqa: S105
# These save a fifth of the memory, most of it after argon2: its large blocks return to the system at once.
MALLOC_SETTINGS = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144"}
PROVISIONED = "run/provisioned"  # the file that lets the services start


@dataclass(frozen=True)
class Program:
    """A program that supervisord keeps running. It waits for the file `after` in the state directory.

    `page` is the URL of what it shows to people and to Prometheus beside its API.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None
    page: str = ""


def inherited() -> dict[str, str]:
    """Return the environment variables of ./dev that its programs see."""
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}


def web(service: Service, port: int, environment: Mapping[str, str]) -> Program:
    """Return a web service under gunicorn, on every address of `localhost`."""
    gunicorn = (sys.executable, str(Path(sys.executable).parent / "gunicorn"))
    addresses = (f"--bind={host}:{port}" for host in ports.loopback_hosts())
    options = ("--config", str(ROOT / "deploy" / "gunicorn.conf.py"), *addresses)
    return Program(service.name, (*gunicorn, *options, f"{service.package}:create_app()"), environment, PROVISIONED)


def background(name: str, module: str, environment: Mapping[str, str], heartbeat: Path, metrics: int) -> Program:
    """Return a program that serves nothing but its metrics; its heartbeat file shows that it works."""
    own = {"HEARTBEAT_FILE": str(heartbeat), "METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(metrics)}
    page = f"http://127.0.0.1:{metrics}/metrics"
    return Program(name, (sys.executable, "-m", module), {**environment, **own}, PROVISIONED, page)


def storefront(numbers: Mapping[str, int]) -> Program:
    """Return the server of the shop's page; `numbers` are the stack's ports."""
    urls = (f"{name}={url}" for name, url in local_urls(numbers, "localhost").items())
    command = (sys.executable, "-m", "tools.stack.storefront", str(numbers[STOREFRONT]), *urls)
    return Program(STOREFRONT, command, page=f"http://localhost:{numbers[STOREFRONT]}")


def page_origins(port: int) -> list[str]:
    """Return the origins under which a browser on this machine may show the shop's page."""
    return [f"http://{host}:{port}" for host in ("localhost", *ports.loopback_hosts())]


def service_environment(service: Service, urls: Mapping[str, str], client_secret: str) -> dict[str, str]:
    """Return the settings of a service, the same for all of its programs; `urls` has each service's URL by name."""
    users, products = urls["user-service"], urls["product-service"]
    jwks = {"JWKS_URL": f"{users}/.well-known/jwks.json"}
    client = {"TOKEN_URL": f"{users}/token", "CLIENT_ID": "order-service", "CLIENT_SECRET": client_secret}
    admin = {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": ADMIN_PASSWORD}
    own = {
        "user-service": {**admin, "SERVICE_CLIENTS": f"order-service:{client_secret}"},
        "product-service": {**jwks, "DEMO_PRODUCTS": "true"},
        "order-service": {**jwks, **client, "PRODUCT_SERVICE_URL": products, "PAYMENT_PROVIDER": "simulated"},
        "notification-service": jwks,
    }
    return {"ENVIRONMENT": "development", "TRUSTED_PROXIES": "0", **MALLOC_SETTINGS, **own[service.name]}
