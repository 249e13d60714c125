"""A service that is away for a while: one of the tests' own stack, or one of docker compose."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.e2e.shop import Shop
from tests.waiting import until
from tools.paths import ROOT


@contextmanager
def away(shop: Shop, service: str) -> Iterator[None]:
    """Keep a service from running within the block. It is ready again afterwards."""
    stop, start = switches(shop)
    stop(service)
    try:
        yield
    finally:
        start(service)
        until(lambda: is_ready(shop.urls[service]), f"{service} is back")


def switches(shop: Shop) -> tuple[Callable[[str], object], Callable[[str], object]]:
    """Return what stops a service and what starts it again."""
    if shop.stack:
        return shop.stack.suspend, shop.stack.resume
    if "COMPOSE_PROJECT_NAME" not in os.environ:
        pytest.skip("needs a shop whose services can be stopped")
    return lambda service: compose("stop", "--timeout", "1", service), lambda service: compose("start", service)


def compose(*arguments: str) -> None:
    subprocess.run(["docker", "compose", *arguments], cwd=ROOT, capture_output=True, check=True, timeout=60)


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/ready", timeout=5).ok
    except requests.RequestException:
        return False
