"""The queues of the consumer, from `contracts/topology.json`."""

import json
from dataclasses import dataclass
from pathlib import Path

NOTIFICATIONS = "notifications"
DEAD_LETTERS = "notifications.dead"
_DELAY_PREFIX = "notifications.retry."


@dataclass(frozen=True)
class Topology:
    """The queues in which a message waits for its next attempt, the shortest delay first (backoff)."""

    delays: tuple[str, ...]

    def delay(self, attempts: int) -> str | None:
        """Return the queue for a message that has failed `attempts` times before; None after the last attempt."""
        return self.delays[attempts] if attempts < len(self.delays) else None


def load(path: Path) -> Topology:
    """Read the topology file."""
    queues = json.loads(path.read_text())["queues"]
    lifetimes = {q["name"]: q["arguments"]["x-message-ttl"] for q in queues if q["name"].startswith(_DELAY_PREFIX)}
    return Topology(tuple(sorted(lifetimes, key=lifetimes.__getitem__)))
