"""What clients of MongoDB send, for tests that count it or ask the server to explain it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


@dataclass
class Commands(CommandListener):
    """Every command since the last `forget`: the database it was for, its name and itself."""

    sent: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append((event.database_name, event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def forget(self) -> None:
        self.sent.clear()

    @property
    def names(self) -> list[str]:
        """Return the names of the commands, in the order in which they were sent."""
        return [name for _, name, _ in self.sent]


@contextmanager
def recorded() -> Iterator[Commands]:
    """Record what every client sends that a service opens in this block, and close them at its end."""
    commands, clients = Commands(), list[pymongo.MongoClient[dict[str, Any]]]()

    def connect(*args: Any, **kwargs: Any) -> pymongo.MongoClient[dict[str, Any]]:
        clients.append(pymongo.MongoClient(*args, event_listeners=[commands], **kwargs))
        return clients[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chassis.mongo.client.MongoClient", connect)
        try:
            yield commands
        finally:
            for client in clients:
                client.close()
