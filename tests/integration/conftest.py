"""Real servers for the integration tests, started once for all of them, and fresh surroundings for each test.

A test that needs the server to end abandoned transactions soon asks for the fixture `ends_transactions_soon`.
"""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from deploy import broker, database
from tests import ephemeral_servers
from tools.stack.mongodb import FAST_STAND_IN, MongoServer
from tools.stack.rabbitmq import RabbitServer

SECONDS_TO_START = 60.0
RETRY_DELAY_MS = 100


@pytest.fixture(scope="session")
def mongo_server(mongodb_program: str) -> Iterator[MongoServer]:
    """A MongoDB server without access control, with transactions."""
    with ephemeral_servers.mongodb(mongodb_program) as server:
        database.require_primary(server.url(), SECONDS_TO_START)
        yield server


@pytest.fixture
def mongo_url(mongo_server: MongoServer) -> Iterator[str]:
    """The URL of an empty database."""
    with ephemeral_servers.database(mongo_server) as url:
        yield url


@pytest.fixture
def ends_transactions_soon(mongo_server: MongoServer) -> None:
    """The server ends what a killed process has left open within seconds; a test that needs it is skipped elsewhere."""
    if mongo_server.program.name == FAST_STAND_IN:
        pytest.skip(f"{FAST_STAND_IN} keeps a transaction open for a minute, and has no option for it")


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    """A RabbitMQ server; `url` is its administrator's."""
    with ephemeral_servers.rabbitmq() as server:
        broker.Management(server.management_url, server.url).wait(SECONDS_TO_START)
        yield server


@pytest.fixture
def vhost_url(rabbitmq: RabbitServer) -> str:
    """The administrator's URL of an empty virtual host.

    It goes away with the server: deleting one while its dead-letter workers start may end the supervisor of all
    others (RabbitMQ 3.10), after which no quorum queue works.
    """
    name = f"test-{uuid.uuid4().hex[:12]}"
    resource = f"{rabbitmq.management_url}/api/vhosts/{name}"
    administrator = (urlsplit(rabbitmq.url).username or "", rabbitmq.password)
    requests.put(resource, auth=administrator, json={}, timeout=60).raise_for_status()
    return f"{rabbitmq.url.rpartition('/')[0]}/{name}"


@pytest.fixture
def broker_url(vhost_url: str, request: pytest.FixtureRequest) -> str:
    """The administrator's URL of a virtual host with the topology; an indirect parameter sets the retry delays (ms)."""
    broker.declare_topology(vhost_url, SECONDS_TO_START, milliseconds=getattr(request, "param", RETRY_DELAY_MS))
    return vhost_url
