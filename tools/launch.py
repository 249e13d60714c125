"""Start one program of a stack: `python -m tools.launch NAME`. Standard library only.

Runs before every start of a program, under supervisord. It ends what an earlier life of the program has left behind
(such as workers that were frozen when their master was killed, and still hold the port), waits for the program's
turn, and then becomes the program.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tools import processes

SECONDS_BETWEEN_STARTS = 1.0
LARGEST_LOG = 10_000_000
GRACE = 5.0


def main() -> None:
    """Become the program that the command line names."""
    name = sys.argv[1]
    state = Path(os.environ[processes.STACK])
    program: dict[str, Any] = json.loads((state / "programs.json").read_text())[name]
    write_to_log(state / "logs" / f"{name}.log")
    processes.end(lambda: processes.find(state, name), GRACE)
    wait_while_held(state, name, program["after"])
    count_start(state / "run" / f"{name}.starts")
    os.execve(program["command"][0], program["command"], program["environment"])  # noqa: S606 (no shell is the point)


def write_to_log(path: Path) -> None:
    """Send all output to the program's log; one that has grown large is put aside first."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)


def wait_while_held(state: Path, name: str, after: str | None) -> None:
    """Wait while the stack is being stopped, the program is held, or what it needs first is not done."""
    obstacles = (state / "run" / "stopping", state / "run" / f"{name}.held")
    while any(path.exists() for path in obstacles) or (after and not (state / after).exists()):
        time.sleep(0.05)


def count_start(path: Path) -> None:
    """Record the start, not sooner than a second after the one before."""
    if path.exists():
        since_last = time.time() - path.stat().st_mtime
        time.sleep(min(max(SECONDS_BETWEEN_STARTS - since_last, 0), SECONDS_BETWEEN_STARTS))
    with path.open("a") as starts:
        starts.write(".")


if __name__ == "__main__":
    main()
