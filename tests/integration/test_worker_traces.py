"""Traces of gunicorn's workers: each sends its own, none is lost at a stop, and no bad collector delays one."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.counted import total
from tests.integration.test_web_workers import gunicorn
from tests.otlp_receiver import Collector, collecting, hanging
from tests.waiting import until
from tools.stack.ports import free_ports

APP = """
import os
from chassis.auth.access import public
from chassis.config import TelemetrySettings
from chassis.telemetry import programs
from chassis.web import exposition
from chassis.web.app import make_app

def create_app():
    programs.observe("traced", TelemetrySettings.load())
    app = make_app("traced", "traced", "", threads=8)
    exposition.init_app(app)
    app.add_url_rule("/pid", view_func=public(lambda: str(os.getpid())))
    return app
"""
EXIT_WITHIN = 5.0  # s, idle
LATE = 600_000  # ms; a worker sends its spans only when it stops


class Server(NamedTuple):
    """A running gunicorn with two workers."""

    master: "subprocess.Popen[str]"
    url: str
    log: Path

    def ask(self) -> int:
        """Send a request on a new connection, and return the pid of the worker that answers."""
        return int(requests.get(f"{self.url}/pid", headers={"Connection": "close"}, timeout=60).text)

    def ask_all(self, *, but: frozenset[int] = frozenset()) -> list[int]:
        """Send requests until two workers other than these have answered; return who answered each."""
        answered: list[int] = []

        def have_two() -> bool:
            answered.append(self.ask())
            return len(set(answered) - but) == 2

        until(have_two, "both workers answer")
        return answered

    def show(self, name: str) -> float:
        return total(name, requests.get(f"{self.url}/metrics", timeout=60).text)

    def stop(self) -> float:
        """Stop gunicorn; return how long that took."""
        started = time.monotonic()
        self.master.send_signal(signal.SIGTERM)
        assert self.master.wait(60) == 0
        return time.monotonic() - started


@contextmanager
def serving(folder: Path, collector: str, **settings: object) -> Iterator[Server]:
    """Serve the app, and record all its requests."""
    (folder / "traced_app.py").write_text(APP)
    [port] = free_ports(1)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_TRACES_SAMPLER_ARG": "1"}
    environment |= {name: str(setting) for name, setting in settings.items()}
    log = folder / "log"
    with log.open("w") as output:
        master = gunicorn(folder, "traced_app:create_app()", port, environment, stdout=output, stderr=output)
    with master:
        server = Server(master, f"http://127.0.0.1:{port}", log)
        try:
            until(lambda: _answers(server), "a worker answers")
            yield server
        finally:
            master.terminate()


def _answers(server: Server) -> bool:
    try:
        return server.show("shop_spans_lost_total") == 0
    except requests.ConnectionError:
        return False


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def instances(collector: Collector) -> dict[str, int]:
    """Return how many spans each process has sent."""
    names = [received.resource["service.instance.id"] for received in collector.received]
    return {name: names.count(name) for name in names}


def test_no_span_is_lost_when_gunicorn_stops(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, collector.url, OTEL_BSP_SCHEDULE_DELAY=LATE) as server:
        answered = server.ask_all() + [server.ask() for _ in range(100)]
        assert collector.requests == []
        assert server.stop() < EXIT_WITHIN
    assert sorted(instances(collector).values()) == sorted(map(answered.count, set(answered)))
    assert {received.span.name for received in collector.received} == {"GET /pid"}
    assert {received.resource["service.name"] for received in collector.received} == {"traced"}


def test_the_spans_of_a_reload_and_of_successors_arrive_too(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, collector.url, OTEL_BSP_SCHEDULE_DELAY=50) as server:
        first = frozenset(server.ask_all())
        until(lambda: len(instances(collector)) == 2, "both workers have sent their spans")
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        second = first | frozenset(server.ask_all(but=first))
        until(lambda: len(instances(collector)) == 4, "their successors have sent their spans")
        server.master.send_signal(signal.SIGHUP)
        third = server.ask_all(but=second)
        until(lambda: len(instances(collector)) >= 6, "the workers after the reload have sent their spans")
        assert server.show("shop_spans_lost_total") == 0
        assert server.stop() < EXIT_WITHIN
    assert len(set(third) - second) == 2
    assert len(instances(collector)) == 6


@pytest.mark.parametrize("delay", [50, LATE])
def test_a_collector_that_hangs_delays_neither_requests_nor_the_stop(tmp_path: Path, delay: int) -> None:
    with hanging() as collector, serving(tmp_path, collector.url, OTEL_BSP_SCHEDULE_DELAY=delay) as server:
        started = time.monotonic()
        server.ask_all()
        for _ in range(50):
            server.ask()
        assert time.monotonic() - started < EXIT_WITHIN
        if delay != LATE:
            until(lambda: collector.requests, "spans are being sent")
        assert server.stop() < EXIT_WITHIN
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert sum(line["logger"] == "access" for line in lines) > 50
        assert sum(line["logger"] != "access" for line in lines) <= 2  # one for each worker


def test_a_collector_that_is_away_costs_only_spans_and_they_are_counted(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    with serving(tmp_path, away, OTEL_BSP_SCHEDULE_DELAY=50, OTEL_EXPORTER_OTLP_TIMEOUT=0.1) as server:
        answered = server.ask_all() + [server.ask() for _ in range(50)]
        until(lambda: server.show("shop_spans_lost_total") == len(answered), "every span is counted as lost")
        assert server.stop() < EXIT_WITHIN
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        told = [line["message"] for line in lines if line["logger"] != "access"]
        assert len(told) == 2
        assert all(message.startswith("spans may be lost, check the collector: ") for message in told)
