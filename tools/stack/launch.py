"""Start one program of a stack under supervisord: `python -m tools.stack.launch NAME`.

supervisord restarts a program at once; this module makes restarts safe. It ends the processes of an earlier run, such
as frozen workers that still hold the port, waits for the program's turn, delays repeated starts (a backoff of one
second), and then becomes the program.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tools.stack import processes

RESTART_DELAY = 1.0
LARGEST_LOG = 10_000_000  # bytes; a larger log is rotated and replaces the rotated log before it


def main() -> None:
    """Become the program that the command line names."""
    name = sys.argv[1]
    state = Path(os.environ[processes.STACK])
    program: dict[str, Any] = json.loads((state / "programs.json").read_text())[name]
    write_to_log(state / "logs" / f"{name}.log")
    processes.end(lambda: processes.find(state, name), grace=5.0)
    wait_for_turn(state, name, program["after"])
    count_start(state / "run" / f"{name}.starts")
    os.execve(program["command"][0], program["command"], program["environment"])  # noqa: S606 (no shell is the point)


def write_to_log(path: Path) -> None:
    """Send all output to the program's log, and rotate a log that has grown large."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)


def wait_for_turn(state: Path, name: str, after: str | None) -> None:
    """Wait while the program is suspended, and until the file `after` exists."""
    suspended = processes.suspension(state, name)
    while suspended.exists() or (after and not (state / after).exists()):
        time.sleep(0.05)


def count_start(path: Path) -> None:
    """Wait until `RESTART_DELAY` after the last start, then record this start."""
    if path.exists():
        since_last = time.time() - path.stat().st_mtime
        time.sleep(min(max(RESTART_DELAY - since_last, 0), RESTART_DELAY))
    with path.open("a") as starts:
        starts.write(".")


if __name__ == "__main__":
    main()
