"""Record which servers a stack uses, and note for the user which ones differ from the last start."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.stack.mongodb import MongoServer, find
from tools.stack.rabbitmq import RabbitServer

FILE = "data/servers.json"  # removed together with the data
OLD_FILE = "data/origins.json"  # of earlier versions, with another name for `location`
CHANGED = """\
NOTE: {name} is not the same server as last time, and has other data. Last time this shop ran on {text}.
      That data is kept. To use it again: ./dev down, then {again}"""
BROKER_NOTES: dict[tuple[str, ...], list[str]] = {
    ("MongoDB",): ["NOTE: RabbitMQ is the same as last time: messages that wait in it are delivered here."],
    ("RabbitMQ",): ["NOTE: Events of earlier orders that wait in the other RabbitMQ stay there."],
}


@dataclass(frozen=True)
class ServerRecord:
    """A server, where its data is, and how to use it again."""

    server: str
    location: str
    again: str

    @property
    def text(self) -> str:
        """Return the server and its location as a line for people."""
        return f"{self.server}, {self.location}"


def mongodb(state: Path, server: MongoServer) -> ServerRecord:
    """Return the record of a MongoDB server of the stack's own."""
    name, program = server.program.name, server.program
    choice = name if find(name) == program else shlex.quote(str(program))
    return ServerRecord(name, f"data in {state.name}/data/{name}", f"./dev up --mongodb {choice}")


def rabbitmq(state: Path, server: RabbitServer) -> ServerRecord:
    """Return the record of a RabbitMQ server of the stack's own."""
    location = f"data in {state.name}/data/{server.home.name}"
    return ServerRecord(server.program.name, location, "./dev up without RABBITMQ_URL")


def external(variable: str, url: str) -> ServerRecord:
    """Return the record of a server that an environment variable names, without the secrets of its URL."""
    parts = urlsplit(url)
    location = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
    return ServerRecord(f"the server of {variable}", f"at {location}", f"./dev up with this {variable}")


def last(state: Path) -> dict[str, ServerRecord]:
    """Return the servers of the last start by name; with empty data there are none."""
    for file in filter(Path.exists, (state / FILE, state / OLD_FILE)):
        return {name: ServerRecord(*fields.values()) for name, fields in json.loads(file.read_text()).items()}
    return {}


def record(state: Path, now: Mapping[str, ServerRecord]) -> list[str]:
    """Store the servers of this start, and return notes on those that have changed since the last one."""
    before = last(state)
    (state / FILE).write_text(json.dumps({name: asdict(server) for name, server in now.items()}, indent=2))
    changed = tuple(name for name in now if name in before and before[name].location != now[name].location)
    notes = [CHANGED.format(name=name, text=before[name].text, again=before[name].again) for name in changed]
    return notes + BROKER_NOTES.get(changed, [])
