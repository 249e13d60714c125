"""Each worker process counts under its slot: exact over deaths and successors, in files that do not grow in number."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy import worker_slots
from deploy.worker_slots import FOLDER, MIN_FREE, Slots, _has_room, _make_folder
from tests.at_once import at_once
from tools.paths import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one gunicorn's metrics."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


class Arbiter:
    """Gunicorn's master, as far as the slots know it."""

    def __init__(self, slots: Slots) -> None:
        self.WORKERS: dict[int, Any] = {}
        self._slots = slots

    def spawn(self, pid: int) -> str:
        worker = SimpleNamespace()
        self._slots.reserve(self, worker)
        self.WORKERS[pid] = worker
        return str(worker.slot)

    def reap(self, pid: int) -> None:
        self._slots.release(self.WORKERS.pop(pid))


def test_a_worker_gets_the_lowest_free_slot(folder: Path) -> None:
    arbiter = Arbiter(Slots(folder))
    assert [arbiter.spawn(pid) for pid in (11, 12, 13)] == ["0", "1", "2"]
    arbiter.reap(12)
    assert [arbiter.spawn(pid) for pid in (14, 15)] == ["1", "3"]
    for pid in (11, 13, 14, 15):
        arbiter.reap(pid)
    assert arbiter.spawn(16) == "0"


def test_a_reload_uses_as_many_slots_more_as_there_are_workers_and_gives_them_back(folder: Path) -> None:
    arbiter = Arbiter(Slots(folder))
    old = range(0, 2)
    used = {arbiter.spawn(pid) for pid in old}
    for reload in range(1, 50):
        new = range(2 * reload, 2 * reload + 2)
        used |= {arbiter.spawn(pid) for pid in new}
        for pid in old:
            arbiter.reap(pid)
        old = new
    assert used == {"0", "1", "2", "3"}


def test_the_pids_are_those_of_the_living(folder: Path) -> None:
    slots = Slots(folder)
    assert (slots.own, slots.pids()) == ("master", [os.getpid()])
    arbiter = Arbiter(slots)
    arbiter.spawn(11)
    slots.take(arbiter.WORKERS[11])
    assert (slots.own, slots.pids()) == ("0", [os.getpid()] * 2)
    arbiter.reap(11)
    assert slots.pids() == [os.getpid()]
    (folder / "1.pid").touch()  # its process is about to write
    assert slots.pids() == [os.getpid()]


def test_a_worker_that_ended_before_it_took_its_slot_is_forgotten(folder: Path) -> None:
    arbiter = Arbiter(Slots(folder))
    arbiter.spawn(11)
    arbiter.reap(11)
    assert [file.name for file in folder.iterdir()] == ["master.pid"]


def test_the_gauges_of_a_worker_go_with_it_and_its_counters_stay(folder: Path) -> None:
    arbiter = Arbiter(Slots(folder))
    arbiter.spawn(11)
    arbiter.spawn(12)
    kept = {"counter_0.db", "histogram_0.db", "gauge_livesum_1.db", "gauge_livesum_master.db", "master.pid"}
    for name in kept | {"gauge_livesum_0.db", "gauge_livemax_0.db"}:
        (folder / name).touch()
    arbiter.reap(11)
    assert {file.name for file in folder.iterdir()} == kept


def test_the_files_go_with_the_master(folder: Path) -> None:
    (mine := folder / "mine").mkdir()
    slots = Slots(mine)
    slots.remove_files()
    slots.remove_files()
    assert list(folder.iterdir()) == []


MASTER = """
import sys
from pathlib import Path
from deploy import worker_slots
from deploy.worker_slots import _make_folder
print(_make_folder(Path(sys.argv[1])), flush=True)
input()
"""


def start_master(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that makes a folder as gunicorn does, and holds it until it is killed."""
    command = [sys.executable, "-c", MASTER, str(parent)]
    master = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert master.stdout
    return master, Path(master.stdout.readline().strip())


def test_folders_of_gunicorns_that_were_killed_are_removed(tmp_path: Path) -> None:
    (killed, stale), (living, kept) = start_master(tmp_path), start_master(tmp_path)
    (tmp_path / "others").mkdir()
    for folder in (stale, kept):
        (folder / "counter_0.db").touch()
    with killed, living:
        killed.kill()
        killed.wait()
        made = _make_folder(tmp_path)
        assert set(tmp_path.iterdir()) == {made, kept, tmp_path / "others"}
        assert {file.name for file in kept.iterdir()} == {"lock", "counter_0.db"}
        living.kill()
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_another_user_or_a_start_in_progress_holds_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop-metrics-abc").mkdir()  # its lock is about to be made
    assert {_make_folder(tmp_path), tmp_path / "shop-metrics-abc"} == set(tmp_path.iterdir())


def test_gunicorns_that_start_at_the_same_moment_leave_each_other_s_folders_alone(tmp_path: Path) -> None:
    for round_number in range(25):
        (parent := tmp_path / str(round_number)).mkdir()
        made = at_once(8, lambda _, parent=parent: _make_folder(parent))  # type: ignore[misc]
        assert set(parent.iterdir()) == set(made)
        while worker_slots._locks:
            worker_slots._locks.pop().close()


def test_memory_with_too_little_room_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _has_room(tmp_path) is True
    assert _has_room(tmp_path / "missing") is False
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=MIN_FREE - 1))
    assert _has_room(tmp_path) is False


def test_a_full_disk_stops_no_worker(folder: Path) -> None:
    slots = Slots(folder)
    arbiter = Arbiter(slots)
    arbiter.spawn(11)
    slots.remove_files()  # as if nothing could be written
    slots.take(arbiter.WORKERS[11])
    arbiter.reap(11)
    assert slots.pids() == []


PROCESSES = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from deploy import worker_slots
worker_slots.SHARED_MEMORY = Path(sys.argv[1])
slots = worker_slots.slots()
assert worker_slots.slots() is slots
from chassis.telemetry import metrics, programs
made = metrics.counter("made_total", "")
held = metrics.gauge("held", "")
seconds = metrics.histogram("seconds", "", ["a"])
arbiter = SimpleNamespace(WORKERS={})
pool = metrics.Pool("early", 3)

def fork(work):
    worker = SimpleNamespace()
    slots.reserve(arbiter, worker)
    pid = os.fork()
    if pid == 0:
        slots.take(worker)
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    arbiter.WORKERS[pid] = worker
    return pid

def reap(pid):
    os.waitpid(pid, 0)
    slots.release(arbiter.WORKERS.pop(pid))

def work():
    made.inc(2)
    held.set(5)
    seconds.labels("x").observe(0.2)
    programs.LOST.inc()
    metrics.Pool("late", 8).take()

made.inc()
for _ in range(20):
    reap(fork(work))
pids = [fork(work), fork(work)]
for pid in pids:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(metrics.exposition().decode())
print("--")
for pid in pids:
    reap(pid)
print(metrics.exposition().decode())
print("--", len(list(slots._folder.glob("*.db"))), os.environ[worker_slots.FOLDER] == str(slots._folder))
slots.remove_files()
"""


def test_counts_are_exact_over_killed_workers_and_gauges_are_of_the_living(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESSES, str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    before, after, rest = done.stdout.split("--")
    for shown in (before, after):
        assert "made_total 45.0\n" in shown
        assert 'seconds_count{a="x"} 22.0\n' in shown
        assert "shop_spans_lost_total 22.0\n" in shown
    assert ("held 10.0\n" in before, "held 0.0\n" in after) == (True, True)
    assert ('shop_pool_busy{pool="late"} 2.0\n' in before, 'pool="late"' in after) == (True, False)
    assert 'shop_pool_size{pool="early"} 3.0\n' in after
    assert rest.split() == ["6", "True"]  # counters of three, histograms of two, gauges of the master
    assert list(tmp_path.iterdir()) == []
