"""The audit records of all services at about one moment.

Each service prints the records of its own database (`python -m order_service.audit`); the audit reads no database.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tools.paths import ROOT
from tools.services import SERVICES, Service
from tools.stack.stack import Stack

Record = dict[str, Any]
ReadRecords = Callable[[Service], list[Record]]


class AuditError(Exception):
    """A service could not export its records. The message is the service's."""


class Snapshot:
    """Records by kind and id. Those that changed less than `grace` seconds ago are not `settled`."""

    def __init__(self, records: Iterable[Record], grace: float) -> None:
        by_kind: dict[str, list[Record]] = {}
        for record in records:
            by_kind.setdefault(record["kind"], []).append(record)
        self.grace = grace
        self.products = by_kind.get("product", [])
        self.users = by_kind.get("user", [])
        self.notifications = by_kind.get("notification", [])
        self.orders = {order["id"]: order for order in by_kind.get("order", [])}
        self.reservations = {reservation["order_id"]: reservation for reservation in by_kind.get("reservation", [])}
        self.payment_provider: str | None = next((each["provider"] for each in by_kind.get("ledger", [])), None)
        self.charges: dict[str, list[Record]] = {}
        for charge in by_kind.get("charge", []):
            self.charges.setdefault(charge["order"], []).append(charge)
        self.dead_letters = [record["count"] for record in by_kind.get("dead_letters", [])]
        self.notified = Counter((each["event_id"], each["channel"]) for each in self.notifications)

    def settled(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that are old enough to be judged."""
        return [record for record in records if record["age"] >= self.grace]


def take(read: ReadRecords, grace: float) -> Snapshot:
    """Read the records of all services, effects before causes: notifications first, then orders, then stock."""
    return Snapshot((record for service in reversed(SERVICES) for record in read(service)), grace)


def reader(stack: Stack, arguments: Sequence[str] = ()) -> ReadRecords:
    """Return a function that reads the records of a service of a stack on this machine."""

    def read(service: Service) -> list[Record]:
        environment = {**stack.environment(_program(service)), "LOG_LEVEL": "ERROR"}
        return _records(run([sys.executable, "-m", f"{service.package}.audit", *arguments], environment))

    return read


def compose_reader(arguments: Sequence[str] = ()) -> ReadRecords:
    """Return a function that reads the records of a service that runs under docker compose."""

    def read(service: Service) -> list[Record]:
        execute = ["docker", "compose", "exec", "-T", _program(service)]
        return _records(run([*execute, "python", "-m", f"{service.package}.audit", *arguments]))

    return read


def _program(service: Service) -> str:
    """Return the program whose settings the audit needs. The consumer also has RabbitMQ's URL, for the dead letters."""
    return "notification-consumer" if service.name == "notification-service" else service.name


def _records(output: str) -> list[Record]:
    return [json.loads(line) for line in output.splitlines()]


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Return the output of a command. Raises AuditError if it fails."""
    try:
        process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise AuditError(f"{' '.join(command)} failed: {exc}") from exc
    if process.returncode:
        raise AuditError(f"{' '.join(command)} failed:\n{process.stderr.strip()}")
    return process.stdout
