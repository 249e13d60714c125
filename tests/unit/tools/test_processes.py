"""Processes of a stack are found by their tags; ports are free or have an owner."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import freezing
from tests.waiting import until
from tools.paths import ROOT
from tools.services import SERVICES
from tools.stack import ports, processes, programs

IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the stack `tmp_path` that ignores SIGTERM."""
    environment = {**os.environ, **processes.tags(tmp_path, "web")}
    command = [sys.executable, "-c", IGNORES_SIGTERM]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_only_processes_of_the_stack_and_program_are_found(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    assert processes.find(tmp_path) == processes.find(tmp_path, "web") == [psutil.Process(child.pid)]
    assert processes.find(tmp_path, "another") == processes.find(tmp_path.parent) == []


def test_no_signal_reaches_a_process_that_has_taken_the_pid_of_another(child: subprocess.Popen[bytes]) -> None:
    earlier = psutil.Process(child.pid)
    earlier._ident = (child.pid, 0.0)  # as if it had started long before
    processes.send([earlier], signal.SIGKILL)
    assert child.poll() is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    processes.end(lambda: processes.find(tmp_path), grace=0.2)
    assert child.wait(timeout=5) == -signal.SIGKILL


def test_a_frozen_process_is_killed_at_once(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    processes.end(lambda: processes.find(tmp_path), grace=30)
    assert time.monotonic() - started < 10
    assert child.wait(timeout=5) == -signal.SIGKILL


def test_a_frozen_process_does_nothing_more(tmp_path: Path) -> None:
    count = tmp_path / "count"
    counts = "for n in range(10**9): os.pwrite(file, n.to_bytes(8), 0)"
    code = f"""
import os, sys, threading
file = os.open(sys.argv[1], os.O_WRONLY)
for _ in range(8): threading.Thread(target=lambda: exec({counts!r})).start()
"""
    count.touch()
    with subprocess.Popen([sys.executable, "-c", code, count]) as process:
        try:
            until(count.read_bytes, "it counts")
            for _ in range(50):
                time.sleep(0.01)  # for it to run, not for it to stop
                freezing.freeze([psutil.Process(process.pid)])
                frozen = count.read_bytes()
                time.sleep(0.005)
                assert count.read_bytes() == frozen
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()


def test_the_owner_of_a_port_is_named() -> None:
    (port,) = ports.free_ports(1)
    listen = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", listen], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert not ports.is_free(port)
        assert ports.port_owner(port).startswith(f"pid {process.pid}: {sys.executable} -c import socket")
    assert ports.is_free(port)


@pytest.mark.parametrize("function", ["net_connections", "Process"])
def test_an_owner_of_a_port_that_cannot_be_seen_is_no_error(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def refuse(*_: object) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, function, refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ports.port_owner(server.getsockname()[1]) == "a process that this user may not see"


@pytest.mark.skipif("[::1]" not in ports.loopback_hosts(), reason="there is no IPv6 here")
def test_a_port_is_in_use_at_either_address_of_localhost_and_services_listen_on_both() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.port_owner(port).startswith(f"pid {os.getpid()}: ")
    command = programs.web(SERVICES[0], port, {}).command
    assert [part for part in command if "--bind" in part] == [f"--bind=127.0.0.1:{port}", f"--bind=[::1]:{port}"]


def test_where_a_port_is_in_use_the_next_free_one_is_taken() -> None:
    start = max(ports.free_ports(50))
    with socket.create_server(("127.0.0.1", start)):
        found = ports.next_free({"a": start, "b": start, "c": start + 1}, taken=[start + 1, start + 2])
    assert sorted(found.values()) == [start + 3, start + 4, start + 5]
    assert list(found) == ["a", "b", "c"]


def test_free_ports_are_all_different_and_below_those_of_outgoing_connections() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert max(found) < 32768


def test_a_port_that_was_found_and_is_not_bound_yet_is_found_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    few = sorted(ports.free_ports(6))
    monkeypatch.setattr(ports, "PORTS_BELOW_EPHEMERAL", few)
    assert ports.free_ports(6) == [], "this process has found all of them already"
    another = f"from tools.stack import ports; ports.PORTS_BELOW_EPHEMERAL = {few}; print(ports.free_ports(6))"
    found = subprocess.run([sys.executable, "-c", another], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_ports_of_a_process_that_has_ended_can_be_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from tools.stack import ports; print(*ports.free_ports(3))"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    few = [int(port) for port in ended.stdout.split()]
    monkeypatch.setattr(ports, "PORTS_BELOW_EPHEMERAL", few)
    assert sorted(ports.free_ports(3)) == sorted(few)
