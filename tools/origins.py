"""Which servers a stack uses and where their data is, and what to say when these are not the ones of the last time."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.mongodb import MongoServer, find
from tools.rabbitmq import RabbitServer

CHANGED = """\
NOTE: {name} is not the same server as last time, and has other data. Last time this shop ran on {text}.
      That data is kept. To use it again: ./dev down, then {again}"""
MESSAGES: dict[tuple[str, ...], list[str]] = {
    ("MongoDB",): ["NOTE: RabbitMQ is the same as last time: what waits in it is delivered here."],
    ("RabbitMQ",): ["NOTE: Events of earlier orders that wait in the other RabbitMQ stay there."],
}


@dataclass(frozen=True)
class Origin:
    """A server, the place of its data, and what to do to use it."""

    server: str
    place: str
    again: str

    @property
    def text(self) -> str:
        """Return the server and its place as a line for people."""
        return f"{self.server}, {self.place}"


def mongodb(state: Path, server: MongoServer) -> Origin:
    """Return the origin of a MongoDB server of the stack's own."""
    name, program = server.program.name, server.program
    return _of_program(state, name, name if find(name) == program else shlex.quote(str(program)))


def _of_program(state: Path, name: str, choice: str) -> Origin:
    return Origin(name, f"data in {state.name}/data/{name}", f"./dev up --mongodb {choice}")


def rabbitmq(state: Path, server: RabbitServer) -> Origin:
    """Return the origin of a RabbitMQ server of the stack's own."""
    return Origin(server.program.name, f"data in {state.name}/data/{server.home.name}", "./dev up without RABBITMQ_URL")


def given(variable: str, url: str) -> Origin:
    """Return the origin of a server that an environment variable names, without what is secret in its URL."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
    return Origin(f"the server of {variable}", f"at {where}", f"./dev up with this {variable}")


def last(state: Path) -> dict[str, Origin]:
    """Return the servers of the last start by name; where they were not stored, as of old, the database used last."""
    if _file(state).exists():
        return {name: Origin(**fields) for name, fields in json.loads(_file(state).read_text()).items()}
    keys = sorted((state / "data").glob("*/replica-set.key"), key=lambda key: key.stat().st_mtime)
    return {"MongoDB": _of_program(state, *[keys[-1].parent.name] * 2)} if keys else {}


def record(state: Path, before: Mapping[str, Origin], now: Mapping[str, Origin]) -> list[str]:
    """Store the servers of this start, and return notes on those that have changed since the last start."""
    _file(state).write_text(json.dumps({name: asdict(origin) for name, origin in now.items()}, indent=2))
    changed = tuple(name for name in now if name in before and before[name].place != now[name].place)
    notes = [CHANGED.format(name=name, text=before[name].text, again=before[name].again) for name in changed]
    return notes + MESSAGES.get(changed, [])


def _file(state: Path) -> Path:
    """Return the file that is thrown away with the data."""
    return state / "data" / "origins.json"
