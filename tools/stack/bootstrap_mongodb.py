"""Create the administrator of a new MongoDB server: `python -m tools.stack.bootstrap_mongodb DATA PORT PROGRAM`.

The password is in `MONGO_PASSWORD`. For this moment the server runs without access control: neither mongod nor
SecantusDB can get its first user otherwise.
"""

import os
import subprocess
import sys
from pathlib import Path

from pymongo.errors import OperationFailure

from deploy import database
from tools.stack.mongodb import ADMINISTRATOR, MongoServer

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 10.0  # killing the server then loses nothing that it has acknowledged


def main() -> None:
    """Bootstrap the server that the command line describes."""
    data, port, program = sys.argv[1:]
    bootstrap(MongoServer.choose(Path(data), int(port), program), os.environ["MONGO_PASSWORD"])


def bootstrap(server: MongoServer, password: str) -> None:
    """Start the server without access control, create the administrator, and stop it again."""
    process = subprocess.Popen(server.command(secured=False), env={**os.environ, **server.environment})
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
    """Create the administrator, or set the password again where an earlier attempt was interrupted."""
    database.require_primary(server.url(), SECONDS_TO_START)
    with database.connect(server.url()) as client:
        try:
            client.admin.command("createUser", ADMINISTRATOR, pwd=password, roles=["root"])
        except OperationFailure as exc:
            if exc.code != database.USER_EXISTS:
                raise
            client.admin.command("updateUser", ADMINISTRATOR, pwd=password)


if __name__ == "__main__":
    main()
