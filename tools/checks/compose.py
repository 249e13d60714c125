"""Docker compose for the end-to-end tests, as a project of its own that is removed afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tools.paths import ROOT
from tools.services import PORTS, STOREFRONT, local_urls
from tools.stack import programs

PROJECT = {"COMPOSE_PROJECT_NAME": "shop-e2e"}
ACCOUNTS = {
    "SHOP_ADMIN_EMAIL": programs.ADMIN_EMAIL,
    "SHOP_ADMIN_PASSWORD": programs.ADMIN_PASSWORD,
    "SHOP_CLIENT_SECRET": "demo-order-client-secret",
}


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Build and run docker-compose.yml; yield the environment that points the end-to-end tests to it."""
    urls = {f"SHOP_{name.removesuffix('-service').upper()}_URL": url for name, url in local_urls(PORTS).items()}
    urls["SHOP_STOREFRONT_URL"] = f"http://localhost:{PORTS[STOREFRONT]}"
    try:
        _compose("up", "--build", "--wait")
        yield {**urls, **ACCOUNTS, **PROJECT}
    finally:
        _compose("down", "--volumes", "--remove-orphans")


def _compose(*arguments: str) -> None:
    if not shutil.which("docker"):
        raise SystemExit("--compose needs docker with its compose plugin.")
    subprocess.run(["docker", "compose", *arguments], cwd=ROOT, env={**os.environ, **PROJECT}, check=True)
