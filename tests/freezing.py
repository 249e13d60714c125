"""Processes that do nothing for a while: frozen by SIGSTOP, resumed by SIGCONT."""

import contextlib
import signal
from collections.abc import Iterable, Iterator

import psutil

from tests.waiting import until
from tools.stack import processes

STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def freeze(targets: Iterable[psutil.Process]) -> None:
    """Freeze processes, and return when each of their threads has stopped: a busy machine takes a while."""
    targets = list(targets)
    processes.send(targets, signal.SIGSTOP)
    until(lambda: not any(map(_runs, targets)), "every thread has stopped", seconds=30)


@contextlib.contextmanager
def frozen(targets: Iterable[psutil.Process]) -> Iterator[None]:
    """Keep processes frozen until the end of the block."""
    targets = list(targets)
    try:
        freeze(targets)
        yield
    finally:
        processes.send(targets, signal.SIGCONT)


def _runs(process: psutil.Process) -> bool:
    """Return whether a thread of a process may go on."""
    with contextlib.suppress(psutil.Error):  # it has ended
        return any(_thread_runs(thread.id) for thread in process.threads())
    return False


def _thread_runs(thread_id: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(thread_id).status() not in STOPPED
    return False
