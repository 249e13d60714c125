"""Docker compose for the end-to-end tests, as a project of its own that is thrown away afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tools import blueprint, programs
from tools.paths import ROOT

PROJECT = "shop-e2e"
VARIABLES = {
    "SHOP_PRODUCT_URL": "product-service",
    "SHOP_USER_URL": "user-service",
    "SHOP_ORDER_URL": "order-service",
    "SHOP_NOTIFICATION_URL": "notification-service",
}


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Build and run docker-compose.yml; yields the environment that points the end-to-end tests to it."""
    try:
        _compose("up", "--build", "--wait")
        yield target()
    finally:
        _compose("down", "--volumes", "--remove-orphans")


def target() -> dict[str, str]:
    """Return the variables that tests/e2e reads: where the services are, and the administrator."""
    urls = blueprint.service_urls(blueprint.PORTS)
    variables = {variable: urls[name] for variable, name in VARIABLES.items()}
    admin = {"SHOP_ADMIN_EMAIL": programs.ADMIN_EMAIL, "SHOP_ADMIN_PASSWORD": programs.ADMIN_PASSWORD}
    client = {"SHOP_CLIENT_SECRET": "demo-order-client-secret"}
    return {**variables, **admin, **client, "COMPOSE_PROJECT_NAME": PROJECT}


def _compose(*arguments: str) -> None:
    if not shutil.which("docker"):
        raise SystemExit("--compose needs docker with its compose plugin.")
    environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT}
    subprocess.run(["docker", "compose", *arguments], cwd=ROOT, env=environment, check=True)
