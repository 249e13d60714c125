"""The log lines of an order: those that name its id, and all others of the same requests.

A request's id passes from service to service and into the events, so that it also finds the lines that name no order.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.audit.snapshot import run
from tools.services import SERVICES

LogLine = dict[str, Any]
PROGRAMS = [name for service in SERVICES for name in (service.name, *service.background)]

WORKER = "worker"  # the request id of every call of the worker, whatever order it is about


def of_order(order_id: str, request_ids: Collection[str], read: Callable[[], Iterable[str]]) -> list[LogLine]:
    """Return the log lines of an order in the order of time. `request_ids` are those that its events tell.

    The log may be large, so it is read twice rather than kept.
    """
    named = (_parse(text) for text in read() if order_id in text)
    ids = {str(line["request_id"]) for line in named if line.get("request_id")} | {*request_ids}
    ids -= {WORKER}
    lines = (_parse(text) for text in read() if "{" in text)
    found = [line for line in lines if line and (line.get("request_id") in ids or _names(line, order_id))]
    return sorted(found, key=lambda line: str(line.get("time")))


def _names(line: LogLine, order_id: str) -> bool:
    return any(order_id in str(value) for value in line.values())


def _parse(text: str) -> LogLine:
    """Return a line of a program's log; {} for what is not JSON, such as the output of a server."""
    try:
        line = json.loads(text[text.find("{") :])  # docker compose begins a line with codes for a terminal
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def of_files(folder: Path) -> Iterator[str]:
    """Yield the lines of the services' logs in a folder, rotated ones first."""
    for program in PROGRAMS:
        for path in (folder / f"{program}.log.1", folder / f"{program}.log"):
            if path.exists():
                with path.open(errors="replace") as log:
                    yield from log


def of_compose() -> list[str]:
    """Return the lines of the logs that docker compose keeps of the services. Raises AuditError."""
    return run(["docker", "compose", "logs", "--no-color", "--no-log-prefix", *PROGRAMS]).splitlines()
