"""The slots of a web service's worker processes: each has the lowest free number, and a successor takes it over.

The metrics of a process are in files that are named by its slot, so that a successor goes on counting where a killed
process has stopped, and the number of files does not grow with the kills. The files are in shared memory, because each
observation is a write.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from chassis.telemetry import metrics

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable by which prometheus_client finds the files
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108
MIN_FREE = 32 * 2**20  # bytes: where shared memory is full, a write to a mapped file kills the process
MASTER = "master"
_PREFIX, _LOCK = "shop-metrics-", "lock"


class Slots:
    """The slots of one gunicorn. Each of its processes has a copy of this object, and knows its own slot."""

    def __init__(self, folder: Path) -> None:
        self.own = MASTER
        self._folder = folder
        self._note_pid()

    def reserve(self, server: Any, worker: Any) -> None:
        """Give the lowest free slot to a worker that is about to be forked."""
        taken = {other.slot for other in server.WORKERS.values()}
        worker.slot = next(slot for slot in map(str, range(len(taken) + 1)) if slot not in taken)

    def take(self, worker: Any) -> None:
        """Make the slot of a worker that of this process, just after the fork."""
        self.own = worker.slot
        self._note_pid()

    def release(self, worker: Any) -> None:
        """Forget a worker that has ended."""
        with suppress(OSError):
            self._pid_file(worker.slot).unlink(missing_ok=True)
            metrics.forget_gauges(worker.slot)

    def pids(self) -> list[int]:
        """Return the pids of all processes, the master's last."""
        files = sorted(self._folder.glob("*.pid"), key=lambda file: file.stem == MASTER)
        return [int(text) for file in files if (text := _read(file))]

    def remove_files(self) -> None:
        """Remove the files of all slots."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note_pid(self) -> None:
        with suppress(OSError):  # without room for it, the figures of CPU time and memory are too low
            self._pid_file(self.own).write_text(str(os.getpid()))

    def _pid_file(self, slot: str) -> Path:
        return self._folder / f"{slot}.pid"


@cache
def slots() -> Slots:
    """Return the slots of this gunicorn, and let them keep the metrics. Call it before any metric is created.

    They are the same after SIGHUP, when gunicorn runs its configuration again.
    """
    folder = _make_folder(SHARED_MEMORY if _has_room(SHARED_MEMORY) else Path(tempfile.gettempdir()))
    os.environ[FOLDER] = str(folder)
    made = Slots(folder)
    metrics.share(lambda: made.own, made.pids)
    return made


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= MIN_FREE


_locks: list[IO[str]] = []  # of this gunicorn: its processes hold them as long as one of them lives


def _make_folder(parent: Path) -> Path:
    """Return a new folder for this process and its workers, and remove those of gunicorns that were killed.

    Each gunicorn holds a lock in its folder. Its pid would not do: containers may share the memory, and no pids.
    """
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    new_lock = made / "new-lock"  # gets its name only when it is locked: services start at the same moment
    _locks.append(new_lock.open("w"))
    fcntl.flock(_locks[-1], fcntl.LOCK_EX)
    new_lock.rename(made / _LOCK)
    return made


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:  # its process has just ended
        return ""
