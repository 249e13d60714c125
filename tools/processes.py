"""Finding and ending the processes of a stack, through Linux' /proc. Standard library only.

Every process of a stack carries `SHOP_STACK` (the stack's state directory) and `SHOP_PROGRAM` in its environment, and
so does whatever it starts. So nothing is lost: no orphan, no frozen worker, no daemon that left its process group.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
STACK, PROGRAM = "SHOP_STACK", "SHOP_PROGRAM"
SECONDS_TO_FREEZE = 30.0
STOPPED = "TtZXx"  # states of a thread that does nothing more until SIGCONT, or ever; see proc_pid_stat(5)


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
    return _fields(PROC / str(pid))


def _fields(entry: Path) -> list[str]:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
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


def freeze(pids: Iterable[int]) -> None:
    """Stop processes until SIGCONT, and return when each of their threads has stopped: a busy machine takes a while."""
    pids = list(pids)
    send(pids, signal.SIGSTOP)
    deadline = time.monotonic() + SECONDS_TO_FREEZE
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not frozen within {SECONDS_TO_FREEZE:g} s: {pids}")
        time.sleep(0.001)


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Keep processes from doing anything until the end of the block."""
    pids = list(pids)
    try:
        freeze(pids)
        yield
    finally:
        send(pids, signal.SIGCONT)


def _runs(pid: int) -> bool:
    """Tell whether a thread of a process may go on; what has ended, or never was, does not."""
    threads = (PROC / str(pid) / "task").glob("*")
    return any(fields[0] not in STOPPED for thread in threads if (fields := _fields(thread)))


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
