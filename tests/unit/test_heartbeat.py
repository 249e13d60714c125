"""A background program that hangs ends; one that works or waits does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.paths import ROOT

PROGRAM = """
import sys, threading, time
from chassis.heartbeat import Heartbeat
path, signal, seconds = sys.argv[1:]
heartbeat = Heartbeat(path, end_after=4)

def wait_for_ever():
    time.sleep(60)

end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    getattr(heartbeat, signal)()
    time.sleep(0.01)
if sys.argv[3] == "0.1":
    wait_for_ever()
"""


def run(path: Path, signal: str, seconds: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(path), signal, seconds]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)


def test_a_program_that_hangs_ends_and_shows_where(tmp_path: Path) -> None:
    ended = run(tmp_path / "heartbeat", "beat", "0.1")
    assert ended.returncode == 1
    assert "in wait_for_ever" in ended.stderr
    assert (tmp_path / "heartbeat").exists()


@pytest.mark.parametrize("signal", ["beat", "sign_of_life"])
def test_one_that_works_or_waits_goes_on_and_only_the_first_is_well(tmp_path: Path, signal: str) -> None:
    ended = run(tmp_path / "heartbeat", signal, "6")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "heartbeat").exists() == (signal == "beat")
