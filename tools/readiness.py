"""Telling whether the programs of a stack are ready, and what is wrong with one that is not."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy import healthcheck

FRESH_SECONDS = 3.0
STARTS_OF_A_FAILURE = 5
LINES_SHOWN = 15


class StackError(Exception):
    """The stack, or a part of it, cannot start; the message says which and why."""


def missing(state: Path, urls: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return those of the programs that are not ready; web services have a URL, the others a heartbeat."""
    return [
        name
        for name in names
        if not (
            healthcheck.is_ready(urls[name], timeout=4)
            if name in urls
            else healthcheck.beats(state / "run" / f"{name}.heartbeat", within=FRESH_SECONDS)
        )
    ]


def check_starts(state: Path, names: Iterable[str]) -> None:
    """Raise StackError if one of the programs has ended again and again."""
    for name in names:
        starts = state / "run" / f"{name}.starts"
        if starts.exists() and starts.stat().st_size >= STARTS_OF_A_FAILURE:
            raise StackError(f"{name} cannot start.\n{last_lines(state, name)}")


def last_lines(state: Path, name: str) -> str:
    """Return the end of a program's log, with its path."""
    path = state / "logs" / f"{name}.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join([f"The last lines of {path}:", *(f"  {line}" for line in lines[-LINES_SHOWN:])])
