"""Finding and ending the processes of a stack, through Linux' /proc. Standard library only.

Every process of a stack carries `SHOP_STACK` (the stack's state directory) and `SHOP_PROGRAM` in its environment, and
so does whatever it starts. So nothing is lost: no orphan, no frozen worker, no daemon that left its process group.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")
STACK, PROGRAM = "SHOP_STACK", "SHOP_PROGRAM"


def marks(state: Path, program: str) -> dict[str, str]:
    """Return the environment variables that mark a process of a stack."""
    return {STACK: str(state), PROGRAM: program}


def find(state: Path, program: str | None = None) -> list[int]:
    """Return the pids of a stack's living processes, or of those of one program, the calling process left out."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and belongs(pid, state, program)]


def belongs(pid: int, state: Path, program: str | None = None) -> bool:
    """Tell whether a process lives and carries the marks of this stack (and program)."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    wanted = [f"{STACK}={state}"] + ([f"{PROGRAM}={program}"] if program else [])
    return all(mark.encode() in environment for mark in wanted)


def status(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state letter on, or nothing for a process that is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def identity(pid: int) -> str:
    """Return a text that names this process and never a later one with the same pid."""
    fields = status(pid)
    return f"{pid}:{fields[19]}" if fields else ""


def start_time(pid: int) -> int:
    """Return when a process started, in ticks since the machine did; 0 for one that is gone."""
    return int(identity(pid).partition(":")[2] or 0)


def lives(process: str) -> bool:
    """Tell whether the process with this identity is still there, zombies not counted."""
    pid = int(process.partition(":")[0])
    return identity(pid) == process and status(pid)[:1] != ["Z"]


def command_line(pid: int) -> str:
    """Return a process's command line, arguments separated by spaces."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes; those that are gone already are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end(search: Callable[[], list[int]], grace: float) -> None:
    """End all processes that `search` finds, until it finds none: politely for `grace` seconds, then with SIGKILL.

    Frozen processes cannot be polite: they are killed at once.
    """
    send(search(), signal.SIGTERM if grace else signal.SIGKILL)
    deadline = time.monotonic() + grace
    while pids := search():
        frozen = [pid for pid in pids if status(pid)[:1] in (["T"], ["t"])]
        send(pids if time.monotonic() > deadline else frozen, signal.SIGKILL)
        time.sleep(0.05)
