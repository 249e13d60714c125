"""Create the administrator of a new MongoDB server."""

import os
import subprocess
from collections.abc import Mapping
from typing import IO

from pymongo.errors import OperationFailure

from deploy import database
from tools.stack import processes
from tools.stack.mongodb import ADMINISTRATOR, MongoServer

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 10.0  # then it is killed, and loses no acknowledged write


def bootstrap(
    server: MongoServer, password: str, environment: Mapping[str, str] = os.environ, log: IO[bytes] | None = None
) -> None:
    """Start the server without access control, create the administrator, and stop the server.

    mongod and SecantusDB get their first user in no other way. The server ends at the latest with this process.
    Raises SystemExit if the server does not start.
    """
    variables = {**environment, **server.environment}
    command = processes.bound_to_parent(server.command(secured=False))
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        create_administrator(server, password)
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    server.prepared.touch()


def create_administrator(server: MongoServer, password: str) -> None:
    """Create the administrator. If an interrupted attempt has created the user, set the password again."""
    database.require_primary(server.url(), SECONDS_TO_START)
    with database.connect(server.url()) as client:
        try:
            client.admin.command("createUser", ADMINISTRATOR, pwd=password, roles=["root"])
        except OperationFailure as exc:
            if exc.code != database.USER_EXISTS:
                raise
            client.admin.command("updateUser", ADMINISTRATOR, pwd=password)
