"""The shop that the end-to-end tests use: the one that the environment names, else a stack of their own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shop import Shop
from tools.blueprint import free_ports
from tools.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A whole stack on free ports. For tests that kill or freeze parts of it; they are not run against compose."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    running = Stack(Path(tempfile.mkdtemp(prefix="shop-")), free_ports())
    try:
        running.up(owned=True)
        yield running
    finally:
        running.destroy()


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest) -> Shop:
    """The shop under test."""
    return Shop.from_environment() or Shop.of(request.getfixturevalue("stack"))
