"""The metrics of a web service over its processes: exact, whatever is killed or reloaded, and without leftovers."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import psutil
import pytest

from deploy.worker_slots import SHARED_MEMORY
from tests.at_once import at_once, meanwhile
from tests.counted import samples
from tests.integration.test_web_workers import gunicorn
from tests.waiting import until
from tools.stack.ports import free_ports

THREADS = 8  # of each process, by default
APP = """
import os, time
from flask import Response
from chassis.auth.access import public
from chassis.telemetry import metrics
from chassis.web import exposition
from chassis.web.app import make_app

DONE = metrics.counter("test_done_total", "What was done.")
LEVEL = metrics.gauge("test_level", "A level.", combine=metrics.LARGEST)
WIDE = metrics.histogram("test_wide_seconds", "Very many series.", ["kind"])

def create_app():
    app = make_app("counting", "counting", "", threads=8)
    exposition.init_app(app)

    @app.get("/work")
    @public
    def work():
        DONE.inc()
        return Response(str(os.getpid()))

    @app.get("/pid")
    @public
    def pid():
        return Response(str(os.getpid()))

    @app.get("/hold")
    @public
    def hold():
        LEVEL.set(7)
        open(f"{FOLDER}/{os.getpid()}", "w").close()
        time.sleep(60)
        return Response("")

    @app.get("/widen")
    @public
    def widen():
        for kind in range(120):
            WIDE.labels(str(kind)).observe(0.1)
        return Response(str(os.getpid()))

    return app
"""
WORKS = "http_server_request_duration_seconds_count GET 200 /work"


class Service:
    """A running gunicorn."""

    def __init__(self, master: "subprocess.Popen[str]", port: int, folder: Path) -> None:
        self.master = master
        self.port = port
        self.folder = folder

    @property
    def workers(self) -> set[int]:
        """The pids of the worker processes."""
        return {child.pid for child in psutil.Process(self.master.pid).children() if is_alive(child)}

    def get(self, path: str) -> str:
        """Return the body of an answer, over a connection of its own. Raises OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        assert answer.status in (200, 404), body
        return body

    def get_patiently(self, path: str) -> str:
        """Get it again if the process that answers is killed."""

        def answer() -> str:
            with suppress(OSError, http.client.HTTPException):
                return self.get(path)
            return ""

        return until(answer, f"{path} is answered")

    def scrape(self) -> dict[str, float]:
        return samples(self.get_patiently("/metrics"))

    def kill(self, pid: int = 0) -> None:
        """Kill a worker, by default the older one, and wait until its successor answers."""
        before = self.workers
        os.kill(pid or min(before), signal.SIGKILL)
        until(lambda: self.get_patiently("/pid") not in map(str, before), "the worker has a successor")

    def files(self) -> set[str]:
        return {file.name for file in next(iter(folders(self.master.pid))).iterdir()}


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it ended while it was looked at
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def folders(pid: int) -> list[Path]:
    """Return the folders of metrics that belong to a master."""
    files = SHARED_MEMORY.glob("shop-metrics-*/master.pid")
    return [file.parent for file in files if file.read_text() == str(pid)]


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    (folder / "counting_app.py").write_text(f"FOLDER = {str(folder)!r}\n{APP}")
    port = free_ports(1)[0]
    with gunicorn(folder, "counting_app:create_app()", port) as master:
        service = Service(master, port, folder)
        try:
            until(lambda: len(service.workers) == 2, "both workers are there")
            service.get_patiently("/work")
            yield service
        finally:
            master.terminate()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as service:
        yield service


def test_a_thousand_requests_over_all_threads_of_two_processes_count_a_thousand(service: Service) -> None:
    before = service.scrape()
    seen = at_once(16, lambda _number: {service.get("/work") for _ in range(50)})
    seen += [{service.get("/work")} for _ in range(200)]
    after = service.scrape()
    assert {name: after[name] - before[name] for name in (WORKS, "test_done_total")} == {
        WORKS: 1000,
        "test_done_total": 1000,
    }
    assert len(set.union(*seen)) == 2
    assert after["shop_pool_size web-threads"] == 2 * THREADS


class Load:
    """Requests as fast as they are answered, from each thread that calls `run`, until `stop`."""

    def __init__(self, service: Service) -> None:
        self.stop = Event()
        self._service = service
        self._answered: list[int] = []
        self._unanswered: list[int] = []

    def run(self) -> None:
        answered = unanswered = 0
        while not self.stop.is_set():
            try:
                self._service.get("/work")
                answered += 1
            except (OSError, http.client.HTTPException):
                unanswered += 1
        self._answered.append(answered)
        self._unanswered.append(unanswered)

    @property
    def counts(self) -> tuple[int, int]:
        """How many requests were answered, and how many were not."""
        return sum(self._answered), sum(self._unanswered)


def decreases(scrapes: list[dict[str, float]]) -> list[tuple[str, float, float]]:
    """Return each step down, or out of sight, of something that only grows."""
    return [
        (name, number, later.get(name, -1))
        for earlier, later in zip(scrapes, scrapes[1:], strict=False)
        for name, number in earlier.items()
        if name.split()[0].endswith(("_total", "_count", "_sum", "_bucket")) and later.get(name, -1) < number
    ]


def test_counts_stay_exact_and_never_decrease_while_workers_are_killed_and_all_are_replaced(service: Service) -> None:
    before, scrapes, load = service.scrape(), list[dict[str, float]](), Load(service)
    done = Event()

    def look() -> None:
        while not done.is_set() or len(scrapes) < 20:
            scrapes.append(service.scrape())

    with meanwhile(look, stop=done, seconds=120), meanwhile(load.run, threads=4, stop=load.stop, seconds=120):
        for _ in range(8):
            service.kill()
        old = service.workers
        service.master.send_signal(signal.SIGHUP)
        until(lambda: len(service.workers) == 2 and not service.workers & old, "all workers are new")
    after, (answered, unanswered) = service.scrape(), load.counts
    assert answered > 100
    for name in (WORKS, "test_done_total"):
        assert answered <= after[name] - before[name] <= answered + unanswered, name
    assert (decreases([before, *scrapes, after]), len(scrapes) >= 20) == ([], True)


def test_fifty_kills_leave_no_more_files_than_one(service: Service) -> None:
    for _ in range(2):
        service.kill()  # now each slot had a successor
    service.get_patiently("/work")
    service.scrape()
    files = service.files()
    for _ in range(50):
        service.kill()
    until(lambda: service.get_patiently("/work") and service.files() == files, "the files are the same", seconds=10)


def test_a_killed_worker_leaves_nothing_in_use_and_no_level(service: Service) -> None:
    """What is in use is that of living processes: a successor in the same slot begins with nothing."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(service.get, "/hold")
        pid = until(lambda: [int(file.name) for file in service.folder.glob("[0-9]*")], "a worker is busy")[0]
        busy = service.scrape()
        assert (busy["shop_pool_busy web-threads"], busy["test_level"]) == (1, 7)
        service.kill(pid)
        idle = service.scrape()
        assert (idle["shop_pool_busy web-threads"], idle["test_level"]) == (0, 0)
        assert idle["shop_pool_size web-threads"] == 2 * THREADS
        assert held.exception() is not None


def test_unknown_paths_methods_and_hosts_make_no_more_series(service: Service) -> None:
    service.get("/nothing")
    names = set(service.scrape())
    for number in range(50):
        service.get(f"/nothing/{number}?q={number}")
        service.get(f"/work?{number}")
    assert set(service.scrape()) == names
    assert len(names) < 1000


def test_a_thousand_series_are_read_in_less_than_fifty_milliseconds(service: Service) -> None:
    until(lambda: len({service.get("/widen") for _ in range(10)}) == 2, "both processes have the series")
    assert len(service.scrape()) > 1000

    def seconds() -> float:
        started = time.perf_counter()
        service.get("/metrics")
        return time.perf_counter() - started

    assert min(seconds() for _ in range(20)) < 0.05


def test_the_folder_goes_with_the_service(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert len(folders(service.master.pid)) == 1
    assert folders(service.master.pid) == []


def test_the_folder_of_a_killed_service_goes_when_another_one_starts(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        workers = [psutil.Process(pid) for pid in service.workers]
        [left] = folders(service.master.pid)
        service.master.kill()
        service.master.wait(30)
        psutil.wait_procs(workers, timeout=60)  # they notice that their master is gone
        assert left.exists()
        with running(tmp_path) as another:
            assert not left.exists()
            assert len(folders(another.master.pid)) == 1
    assert folders(another.master.pid) == []


def test_the_cpu_time_of_workers_that_have_ended_stays_in_the_sum(service: Service) -> None:
    at_once(8, lambda _number: [service.get("/work") for _ in range(20)])
    spent = [service.scrape()["process_cpu_seconds_total"]]
    for _ in range(3):
        service.kill()
        spent.append(service.scrape()["process_cpu_seconds_total"])
    assert spent == sorted(spent)
    assert spent[0] > 0.1


def test_metrics_need_no_token_and_are_counted_nowhere(service: Service) -> None:
    before = service.scrape()
    assert {name for name in before if "/metrics" in name} == set()
    assert service.scrape()[WORKS] == before[WORKS]
