"""Give a new MongoDB server its administrator: `python -m tools.first_start DATA PORT PROGRAM`.

The password is in `MONGO_PASSWORD`. The server runs without access control for that moment, which neither mongod nor
SecantusDB can do without.
"""

import os
import subprocess
import sys
from pathlib import Path

from pymongo.errors import OperationFailure

from deploy import database
from tools.mongodb import ADMINISTRATOR, MongoServer

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 10.0


def main() -> None:
    """Prepare the server that the command line describes."""
    data, port, program = sys.argv[1:]
    prepare(MongoServer.choose(Path(data), int(port), program), os.environ["MONGO_PASSWORD"])


def prepare(server: MongoServer, password: str) -> None:
    """Start the server open, make the administrator, and stop it again."""
    process = subprocess.Popen(server.command(secured=False), env={**os.environ, **server.environment})
    try:
        create_administrator(server, password)
    finally:
        end(process)
    server.prepared.touch()


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server; one that takes too long is killed, which loses nothing that it has acknowledged."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def create_administrator(server: MongoServer, password: str) -> None:
    """Make the administrator, or set the password again where an earlier try was interrupted."""
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
