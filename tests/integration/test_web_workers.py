"""How gunicorn's workers share the connections of clients that keep them, as `deploy/gunicorn.conf.py` has it."""

import http.client
import os
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.waiting import until
from tools import processes
from tools.paths import ROOT
from tools.ports import free_ports, is_free

CONFIGURATION = ROOT / "deploy" / "gunicorn.conf.py"
APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "7")])
    return [b"%7d" % os.getpid()]
"""


class Clients:
    """Connections that are kept, each with the pid of the worker that serves it."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port = port
        self._stack = stack

    def connect(self, number: int) -> Counter[int]:
        """Make so many more connections, one after the other, and return how many of them each worker has."""
        return Counter(self._connect() for _ in range(number))

    def _connect(self) -> int:
        connection = self._stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)))
        connection.request("GET", "/")
        return int(connection.getresponse().read())


def gunicorn(folder: Path, app: str, port: int, **options: Any) -> "subprocess.Popen[str]":
    """Start gunicorn with two workers."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}", "WEB_CONCURRENCY": "2"}
    program = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), "--config", str(CONFIGURATION)]
    return subprocess.Popen([*program, "--bind", f"127.0.0.1:{port}", app], env=environment, text=True, **options)


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    (tmp_path / "pid_app.py").write_text(APP)
    port = free_ports(1)[0]
    with gunicorn(tmp_path, "pid_app:app", port) as master, ExitStack() as stack:
        try:
            until(lambda: not is_free(port), "gunicorn listens")
            yield Clients(port, stack)
        finally:
            stack.close()
            master.terminate()


def test_a_worker_with_fewer_connections_gets_the_next_ones(clients: Clients) -> None:
    served = Counter[int]()
    until(lambda: served.update(clients.connect(1)) or len(served) == 2, "both workers serve")
    for idle, busy in permutations(served):
        behind = 40 + served[idle] - served[busy]
        with processes.frozen([idle]):
            served += clients.connect(behind)
        more = clients.connect(40)
        assert more[idle] >= 30  # half of them or so, if nobody looked at what the other one has
        served += more


def test_a_worker_that_has_ended_counts_no_longer() -> None:
    configuration = runpy.run_path(str(CONFIGURATION))
    connections, nobody = configuration["connections"], configuration["NOBODY"]
    connections[3] = 0
    configuration["child_exit"](None, SimpleNamespace(age=3 + len(connections)))
    assert set(connections) == {nobody}


def test_a_service_that_refuses_to_start_ends_with_its_reason_and_no_traceback(tmp_path: Path) -> None:
    """Both workers refuse at the same time: the arbiter finds one of them ended while it stops because of the other."""
    code = """
import os, time

def create_app():
    open(f"{FOLDER}/{os.getpid()}", "w").close()
    while len(os.listdir(FOLDER)) < 2:
        time.sleep(0.01)
    raise SystemExit("it lacks something")
"""
    (here := tmp_path / "here").mkdir()
    (tmp_path / "refusing_app.py").write_text(f"FOLDER = {str(here)!r}\n{code}")
    with gunicorn(tmp_path, "refusing_app:create_app()", free_ports(1)[0], stderr=subprocess.PIPE) as master:
        said = master.communicate(timeout=60)[1]
    assert (master.returncode, "Traceback" in said) == (3, False)
    assert "it lacks something" in said


def test_every_worker_looks_at_its_neighbours_when_it_starts(tmp_path: Path) -> None:
    code = """
import os

class Neighbours:
    def missing(self):
        open(f"{FOLDER}/{os.getpid()}", "w").close()
        return {}

def create_app():
    def app(environ, start_response):
        raise AssertionError("nobody asks")
    app.extensions = {"neighbours": Neighbours()}
    return app
"""
    (looked := tmp_path / "looked").mkdir()
    (tmp_path / "looking_app.py").write_text(f"FOLDER = {str(looked)!r}\n{code}")
    with gunicorn(tmp_path, "looking_app:create_app()", free_ports(1)[0]) as master:
        try:
            until(lambda: len(list(looked.iterdir())) == 2, "both workers have looked")
        finally:
            master.terminate()
