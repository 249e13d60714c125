"""The shop that the end-to-end tests use: the one that the environment names, else a stack of their own."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.clients import Client
from tests.e2e.shop import Shop, own_stack
from tools.stack.spec import Options
from tools.stack.stack import Stack

SETTINGS = {"REGISTRATIONS_PER_MINUTE": "10000"}  # all tests register from one address


@pytest.fixture(scope="session")
def stack(mongodb_program: str) -> Iterator[Stack]:
    """A whole stack on free ports. For tests that kill or freeze parts of it; they are not run against compose."""
    with own_stack(Options(settings=SETTINGS, mongodb=mongodb_program)) as running:
        running.up(stop_with_parent=True)
        yield running


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest) -> Shop:
    """The shop under test."""
    return Shop.from_environment() or Shop.of(request.getfixturevalue("stack"))


@pytest.fixture
def customer(shop: Shop) -> Iterator[Client]:
    client = Client(shop).register(phone="+442079460000", name="Ada")
    yield client
    client.close()


@pytest.fixture
def admin(shop: Shop) -> Iterator[Client]:
    client = Client(shop).login(shop.admin_email, shop.admin_password)
    yield client
    client.close()


@pytest.fixture
def product(admin: Client) -> Callable[[int], str]:
    def make(stock: int) -> str:
        answer = admin.post("/products", {"name": f"Moka Pot {uuid.uuid4().hex[:6]}", "price": "34.90", "stock": stock})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return make
