"""A stack of its own, as `./dev up` runs it: its memory, and what becomes of it when its own supervisors are killed."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from bench.measurement import pss_megabytes
from tests.e2e.shop import Shop
from tests.waiting import until
from tools import ports, processes, supervision
from tools.blueprint import Options, free_ports
from tools.stack import Stack

MEGABYTES = 500
ODD_NAME = "100% of it #2 ;x 'a' \"b\" $HOME & ö "  # of a folder: what shells, supervisord and RabbitMQ may stumble on


@pytest.fixture(scope="module")
def idle(mongodb_program: str) -> Iterator[Stack]:
    """A stack that nobody has used."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    stack = Stack(Path(tempfile.mkdtemp(prefix=ODD_NAME)), free_ports(), Options(mongodb=mongodb_program))
    try:
        stack.up(owned=True)
        yield stack
    finally:
        stack.destroy()


def test_all_python_processes_of_an_idle_stack_fit_into_500_megabytes(idle: Stack) -> None:
    names = [*idle.services(), supervision.SUPERVISORD, supervision.KEEPER]
    pids = {name: processes.find(idle.state, name) for name in names}
    assert all(pids.values()), pids
    assert pss_megabytes(pid for found in pids.values() for pid in found) < MEGABYTES


def test_services_answer_at_every_address_that_localhost_may_mean(idle: Stack) -> None:
    urls = [f"http://{host}:{idle.ports[name]}/health" for host in ports.loopback() for name in idle.urls]
    assert {url: requests.get(url, timeout=10).status_code for url in urls} == dict.fromkeys(urls, 200)


@pytest.mark.parametrize("victim", [supervision.SUPERVISORD, supervision.KEEPER])
def test_a_supervisor_that_is_killed_is_started_again_and_looks_after_the_others(idle: Stack, victim: str) -> None:
    killed = processes.find(idle.state, victim)
    processes.send(killed, signal.SIGKILL)
    until(lambda: set(processes.find(idle.state, victim)) - set(killed), f"{victim} is back", seconds=30)
    idle.wait_until_ready()
    worker = idle.pids("order-worker")
    idle.kill("order-worker")
    until(lambda: set(idle.pids("order-worker")) - set(worker), "what dies is started again", seconds=30)


def test_nothing_is_left_after_the_end_whatever_is_frozen_then(idle: Stack) -> None:
    processes.freeze(idle.pids("product-service"))
    assert idle.down()
    assert processes.find(idle.state) == []
    assert not idle.down()
