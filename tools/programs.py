"""The programs of a stack: what is started, with which environment, and after what.

To add a service, add its port to `blueprint.PORTS` and its package and settings here.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools import ports
from tools.paths import ROOT

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")
ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "admin-password"  # noqa: S105 (of the demo; production refuses it)
DASHBOARD_USER = DASHBOARD_PASSWORD = "guest"  # noqa: S105
PACKAGES = {
    "product-service": "product_service",
    "user-service": "user_service",
    "order-service": "order_service",
    "notification-service": "notification_service",
}
BACKGROUND = {
    "order-worker": ("order_service.worker", "order-service"),
    "notification-consumer": ("notification_service.consumer", "notification-service"),
}
BROKER_USERS = ("order_service", "notification_service")
MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144"}  # a fifth less, above all after argon2
PROVISIONED = "run/provisioned"


@dataclass(frozen=True)
class Program:
    """A program that is kept running. It waits until the file `after`, in the state directory, exists."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None


@dataclass(frozen=True)
class Urls:
    """Where a service finds the other services, by name, its own database and the broker."""

    services: Mapping[str, str]
    mongo: str
    rabbitmq: str


def inherited() -> dict[str, str]:
    """Return what programs get to see of the environment of ./dev."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def web(name: str, port: int, environment: Mapping[str, str]) -> Program:
    """Return a web service under gunicorn. It listens on all addresses that `localhost` may mean."""
    gunicorn = (sys.executable, str(Path(sys.executable).parent / "gunicorn"))
    addresses = (f"--bind={host}:{port}" for host in ports.loopback())
    options = ("--config", str(ROOT / "deploy" / "gunicorn.conf.py"), *addresses)
    command = (*gunicorn, *options, f"{PACKAGES[name]}:create_app()")
    return Program(name, command, environment, PROVISIONED)


def background(name: str, module: str, environment: Mapping[str, str], heartbeat: Path) -> Program:
    """Return a program that works without being asked, and shows by a file that it is alive."""
    command = (sys.executable, "-m", module)
    return Program(name, command, {**environment, "HEARTBEAT_FILE": str(heartbeat)}, PROVISIONED)


def service_environment(package: str, urls: Urls, client_secret: str) -> dict[str, str]:
    """Return the settings of a service, the same for all of its programs."""
    users, products = urls.services["user-service"], urls.services["product-service"]
    jwks = {"JWKS_URL": f"{users}/.well-known/jwks.json"}
    client = {"TOKEN_URL": f"{users}/token", "CLIENT_ID": "order-service", "CLIENT_SECRET": client_secret}
    admin = {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": ADMIN_PASSWORD}
    own = {
        "user_service": {**admin, "SERVICE_CLIENTS": f"order-service:{client_secret}"},
        "product_service": {**jwks, "DEMO_PRODUCTS": "true"},
        "order_service": {**jwks, **client, "PRODUCT_SERVICE_URL": products, "RABBITMQ_URL": urls.rabbitmq},
        "notification_service": {**jwks, "RABBITMQ_URL": urls.rabbitmq},
    }
    return {"ENVIRONMENT": "development", "TRUSTED_PROXIES": "0", "MONGO_URL": urls.mongo, **MEMORY, **own[package]}
