"""Check which programs of a stack are ready, and show why a program cannot start."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy import healthcheck
from tools.services import STOREFRONT

FRESH_HEARTBEAT = 3.0  # seconds; a program that works renews its file about every second
PATIENCE = 4.0  # seconds; a program that takes longer to answer is not ready
FAILED_STARTS = 5  # a program that is not ready after so many starts never will be
LINES_SHOWN = 15


class StackError(Exception):
    """The stack, or a part of it, cannot start; the message names the part and the reason."""


class SupervisordEnded(StackError):
    """supervisord was stopped or killed, or could not start, so nothing starts or restarts programs."""


def unready(state: Path, urls: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the programs that are not ready. Services and storefront have a URL, the others a heartbeat file."""
    return [name for name in names if not _is_ready(state, urls, name)]


def _is_ready(state: Path, urls: Mapping[str, str], name: str) -> bool:
    if name == STOREFRONT:
        return _shows_page(urls[name])
    if name in urls:
        return healthcheck.is_ready(urls[name], timeout=PATIENCE)
    return healthcheck.beats(state / "run" / f"{name}.heartbeat", within=FRESH_HEARTBEAT)


def _shows_page(url: str) -> bool:
    try:
        return bool(healthcheck.fetch(url, "/", PATIENCE))
    except OSError:
        return False


def check_starts(state: Path, names: Iterable[str]) -> None:
    """Raise StackError if one of the programs ends repeatedly."""
    for name in names:
        starts = state / "run" / f"{name}.starts"
        if starts.exists() and starts.stat().st_size >= FAILED_STARTS:
            raise StackError(f"{name} cannot start.\n{last_lines(state, name)}")


def last_lines(state: Path, name: str) -> str:
    """Return the end of a program's log, with its path."""
    path = state / "logs" / f"{name}.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join([f"The last lines of {path}:", *(f"  {line}" for line in lines[-LINES_SHOWN:])])
