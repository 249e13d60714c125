"""A minute of chaos, with a seed that hits every target; `./dev chaos` runs longer ones."""

import subprocess
import sys

import pytest

from tests.e2e.shop import Shop
from tools.chaos.faults import ACTIONS, TARGETS, schedule


def test_a_minute_of_chaos_breaks_no_promise(mongodb_program: str) -> None:
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    options = ["--seconds=60", "--seed=1", f"--mongodb={mongodb_program}"]
    command = [sys.executable, "-m", "tools.cli", "chaos", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_seed_repeats_its_schedule_and_a_minute_hits_every_target() -> None:
    faults = schedule(7, 60)
    assert faults == schedule(7, 60) != schedule(8, 60)
    hit = {(fault.target, fault.action) for fault in faults}
    assert hit >= {(target, action) for target in TARGETS for action in ACTIONS}


def test_only_the_named_programs_are_hit() -> None:
    assert {fault.target for fault in schedule(1, 60, ["order-worker"])} == {"order-worker"}
