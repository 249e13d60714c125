"""Single servers for tests: on free ports, with a data directory that is removed after them."""

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo

from tests import freezing
from tools import apt
from tools.stack import bootstrap_mongodb, open_files, ports, processes, programs
from tools.stack.mongodb import ADMINISTRATOR, MongoServer
from tools.stack.rabbitmq import RabbitServer

PASSWORD = "secret"


@contextmanager
def mongodb(program: str = "") -> Iterator[MongoServer]:
    """Run a MongoDB server without access control; it may still be starting."""
    with _directory() as home:
        server = MongoServer.choose(home, ports.free_ports(1)[0], program)
        server.write_configuration("unused")
        with _running("mongodb", server.command(secured=False), server.environment, home):
            yield server


@contextmanager
def secured_mongodb(password: str, program: str = "") -> Iterator[str]:
    """Run a MongoDB server with access control; yield its administrator's URL."""
    with _directory() as home:
        server = MongoServer.choose(home, ports.free_ports(1)[0], program)
        server.write_configuration("c2hvcA==")
        bootstrap_mongodb.bootstrap(server, password)
        with _running("mongodb", server.command(secured=True), server.environment, home):
            yield server.url(ADMINISTRATOR, password, "admin")


@contextmanager
def database(server: MongoServer) -> Iterator[str]:
    """Yield the URL of an empty database. A mongod, which keeps files open for each, drops it at the end.

    SecantusDB keeps it: it never returns from dropping a database in which a transaction is still open.
    """
    url = server.url(database=f"test_{uuid.uuid4().hex[:12]}")
    yield url
    if server.is_mongod:
        with pymongo.MongoClient[dict[str, Any]](url) as client:
            client.drop_database(client.get_default_database())


@contextmanager
def rabbitmq() -> Iterator[RabbitServer]:
    """Run a RabbitMQ server with its management API; it may still be starting."""
    with _directory() as home:
        amqp, management, epmd, distribution = ports.free_ports(4)
        program = apt.rabbitmq_server()
        server = RabbitServer(home / "rabbitmq", program, amqp, management, epmd, distribution, PASSWORD)
        server.write_configuration()
        with _running("rabbitmq", server.command, server.environment(), home):
            yield server


@contextmanager
def frozen(server: MongoServer | RabbitServer) -> Iterator[None]:
    """Keep a server from doing anything, refusing included, until the end of the block."""
    with freezing.frozen(processes.find(server.home.parent)):
        yield


@contextmanager
def _directory() -> Iterator[Path]:
    open_files.raise_limit()
    home = Path(tempfile.mkdtemp(prefix="shop-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running(name: str, command: Sequence[str], environment: Mapping[str, str], home: Path) -> Iterator[None]:
    """Run a server until the end of the block; it dies with this process at the latest."""
    variables = {**programs.inherited(), **environment, **processes.tags(home, name)}
    bound = processes.bound_to_parent(command)
    with (home / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(bound, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        processes.end(lambda: processes.find(home), grace=0)
        server.wait()
