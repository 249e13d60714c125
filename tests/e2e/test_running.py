"""A stack of its own, as `./dev up` runs it: its memory, and what happens when its programs or its supervisor die."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests import freezing
from tests.e2e.shop import Shop
from tests.waiting import until
from tools.services import STOREFRONT
from tools.stack import command, ports, processes, supervision
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack

MEGABYTES = 500
ODD_NAME = "100% of it #2 ;x 'a' \"b\" $HOME & ö "  # of a folder: what shells, supervisord and RabbitMQ may stumble on


@pytest.fixture(scope="module")
def idle(mongodb_program: str) -> Iterator[Stack]:
    """A stack that nobody has used."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    stack = Stack(Path(tempfile.mkdtemp(prefix=ODD_NAME)), free_ports(), Options(mongodb=mongodb_program))
    try:
        stack.up(stop_with_parent=True)
        yield stack
    finally:
        stack.destroy()


def test_all_python_processes_of_an_idle_stack_fit_into_500_megabytes(idle: Stack) -> None:
    running = {name: idle.processes(name) for name in (*idle.services(), STOREFRONT, supervision.SUPERVISORD)}
    assert all(running.values()), running
    pss = sum(process.memory_full_info().pss for found in running.values() for process in found)
    assert pss < MEGABYTES * 2**20


def test_services_and_storefront_answer_at_every_address_that_localhost_may_mean(idle: Stack) -> None:
    pages = {f":{idle.ports[STOREFRONT]}/", *(f":{idle.ports[name]}/health" for name in idle.urls)}
    urls = [f"http://{host}{page}" for host in ports.loopback_hosts() for page in pages]
    assert {url: requests.get(url, timeout=10).status_code for url in urls} == dict.fromkeys(urls, 200)


@pytest.mark.parametrize("name", ["order-worker", STOREFRONT])
def test_a_program_that_dies_is_started_again(idle: Stack, name: str) -> None:
    old = idle.pids(name)
    idle.kill(name)
    until(lambda: set(idle.pids(name)) - set(old), f"the {name} is started again", seconds=30)
    until(lambda: name not in idle.unready(), "it is ready", seconds=30)


def test_after_supervisord_is_killed_status_names_what_is_left_and_up_replaces_it(
    idle: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    left = idle.pids("order-service")
    idle.kill(supervision.SUPERVISORD)
    until(lambda: not idle.is_running(), "supervisord has ended")
    assert command.status(idle) == 1
    assert "Still running: mongodb, rabbitmq, user-service, " in capsys.readouterr().out
    assert idle.up(stop_with_parent=True)
    assert set(idle.pids("order-service")).isdisjoint(left)
    assert command.status(idle) == 0


def test_nothing_is_left_after_the_end_whatever_is_frozen_then(idle: Stack) -> None:
    freezing.freeze(idle.processes("product-service"))
    assert idle.down()
    assert processes.find(idle.state) == []
    assert not idle.down()
