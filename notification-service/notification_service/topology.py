"""The queues that the consumer uses, from `contracts/topology.json`, where the topology stands once."""

import json
from dataclasses import dataclass
from pathlib import Path

NOTIFICATIONS = "notifications"
DEAD = "notifications.dead"
RETRY = "notifications.retry."


@dataclass(frozen=True)
class Topology:
    """The queues in which a message waits for its next attempt, by growing delay."""

    retries: tuple[str, ...]

    def retry(self, attempts: int) -> str | None:
        """Return the queue to wait in for a message that was retried so often; None if that was the last time."""
        return self.retries[attempts] if attempts < len(self.retries) else None


def load(path: Path) -> Topology:
    """Read the topology file."""
    queues = json.loads(path.read_text())["queues"]
    delays = {q["name"]: q["arguments"]["x-message-ttl"] for q in queues if q["name"].startswith(RETRY)}
    return Topology(tuple(sorted(delays, key=delays.__getitem__)))
