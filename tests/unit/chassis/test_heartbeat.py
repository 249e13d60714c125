"""A background program that hangs ends; one that works or waits does not."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import mongomock
import pytest

from chassis import logs, mongo
from chassis.heartbeat import WATCHDOG_TIMEOUT, Heartbeat
from notification_service import consumer
from order_service import worker
from tools.paths import ROOT

PROGRAM = """
import sys, threading, time
from chassis.heartbeat import Heartbeat
path, signal, seconds = sys.argv[1:]
heartbeat = Heartbeat(path, end_after=4)

def wait_endlessly():
    time.sleep(60)

end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    getattr(heartbeat, signal)()
    time.sleep(0.01)
if sys.argv[3] == "0.1":
    wait_endlessly()
"""


BEGINNING = """
import threading, time
from chassis.heartbeat import Heartbeat
heartbeat = Heartbeat(end_after=3)
"""
HANGING = {
    "the worker, in its first round": """
import mongomock
from order_service.timings import Timings
from order_service.worker import Worker
class Publisher:
    def check(self):
        pass
worker = Worker(mongomock.MongoClient().shop, lambda: time.sleep(60), None, Publisher(), heartbeat, Timings())
worker.run(threading.Event())
""",
    "the consumer, before it is connected": """
from notification_service.consumer import Consumer
Consumer(lambda: time.sleep(60), heartbeat).run(threading.Event())
""",
}
PATIENT = """
from chassis.errors import Unavailable
from notification_service.retrying import RetryWhileUnavailable
end = time.monotonic() + 6
def step():
    if time.monotonic() < end:
        raise Unavailable("The database does not answer.")
RetryWhileUnavailable(threading.Event(), heartbeat, max_delay=1.0)(step)
"""


def execute(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)


def run(path: Path, signal: str, seconds: str) -> "subprocess.CompletedProcess[str]":
    return execute(PROGRAM, str(path), signal, seconds)


@pytest.mark.parametrize("program", HANGING)
def test_a_program_that_hangs_at_its_start_ends(program: str) -> None:
    ended = execute(BEGINNING + HANGING[program])
    assert (ended.returncode, "Timeout" in ended.stderr) == (1, True)


def test_a_message_that_waits_for_the_database_does_not_hang() -> None:
    assert execute(BEGINNING + PATIENT).returncode == 0


@pytest.mark.parametrize(("module", "runs"), [(worker, worker.Worker), (consumer, consumer.Consumer)])
def test_the_programs_have_a_heartbeat_that_ends_them(
    module: ModuleType, runs: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts = []
    for name in ("MONGO_URL", "RABBITMQ_URL"):
        monkeypatch.setenv(name, f"{'mongodb' if name == 'MONGO_URL' else 'amqp'}://u:pw@127.0.0.1:1/x")
    for name in ("PRODUCT_SERVICE_URL", "TOKEN_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("CLIENT_SECRET", "s3cret-s3cret")
    monkeypatch.setattr(module, "Heartbeat", lambda _path, *, end_after: timeouts.append(end_after) or Heartbeat())
    monkeypatch.setattr(module, "stop_on_signals", lambda *_args, **_options: None)
    monkeypatch.setattr(mongo, "connect", lambda *_args: mongomock.MongoClient().shop)
    monkeypatch.setattr(logs, "configure", lambda *_args: None)
    monkeypatch.setattr(runs, "run", lambda *_args, **_options: None)
    module.main()
    assert timeouts == [WATCHDOG_TIMEOUT]


def test_a_program_that_hangs_ends_and_shows_where(tmp_path: Path) -> None:
    ended = run(tmp_path / "heartbeat", "mark_healthy", "0.1")
    assert ended.returncode == 1
    assert "in wait_endlessly" in ended.stderr
    assert (tmp_path / "heartbeat").exists()


@pytest.mark.parametrize("signal", ["mark_healthy", "kick_watchdog"])
def test_a_program_that_works_or_waits_goes_on_and_only_a_working_program_is_healthy(
    tmp_path: Path, signal: str
) -> None:
    ended = run(tmp_path / "heartbeat", signal, "6")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "heartbeat").exists() == (signal == "mark_healthy")
