"""Find, signal and end the processes of a stack.

Every process of a stack carries two tags in its environment: the stack's state directory and the program's name. Its
children inherit them. So orphans, frozen workers and daemons are found as well, and no process of another checkout is
touched. psutil refuses to signal a process whose pid has been reused.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

STACK, PROGRAM = TAGS = ("SHOP_STACK", "SHOP_PROGRAM")


def tags(state: Path, program: str) -> dict[str, str]:
    """Return the environment variables that tag a process of a stack."""
    return {STACK: str(state), PROGRAM: program}


def suspension(state: Path, program: str) -> Path:
    """Return the file that keeps a program from starting while it is there."""
    return state / "run" / f"{program}.suspended"


def bound_to_parent(command: Iterable[str], number: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return a command that gets a signal from the kernel when its parent ends, if `setpriv` is installed."""
    setpriv = ["setpriv", "--pdeathsig", number.name, "--"] if shutil.which("setpriv") else []
    return [*setpriv, *command]


def find(state: Path, program: str | None = None) -> list[psutil.Process]:
    """Return the living processes of a stack, or of one of its programs, oldest first, without the calling process."""
    expected = {(STACK, str(state)), *([(PROGRAM, program)] if program else [])}
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return sorted((process for process in others if _has_tags(process, expected)), key=_start_time)


def _has_tags(process: psutil.Process, expected: set[tuple[str, str]]) -> bool:
    try:
        return expected <= process.environ().items()
    except psutil.Error:  # it has ended, or belongs to another user
        return False


def _start_time(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return 0.0


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to processes, and skip those that have ended."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def end(search: Callable[[], list[psutil.Process]], grace: float) -> None:
    """End all processes that `search` finds, until it finds none: SIGTERM for `grace` seconds, then SIGKILL.

    A frozen process cannot react to SIGTERM: it is killed at once.
    """
    send(search(), signal.SIGTERM if grace else signal.SIGKILL)
    deadline = time.monotonic() + grace
    while processes := search():
        send(processes if time.monotonic() > deadline else filter(_is_frozen, processes), signal.SIGKILL)
        time.sleep(0.05)


def _is_frozen(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False
