"""Starting and stopping supervisord with all that runs under it. Standard library only.

supervisord restarts whatever ends, at once and for ever; `tools.launch` sees to it that a program that cannot start is
tried only once a second. Run as `python -m tools.supervision STATE` this stops the stack with that state directory.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools import processes
from tools.paths import ROOT

SUPERVISORD, KEEPER = "supervisord", "keeper"
PYTHON = "SHOP_PYTHON"
CONFIGURATION = "supervisord.conf"
SECONDS_TO_STOP = 30.0

# No path of this machine is in the file: supervisord would take a percent sign, " #" and " ;" in it for its own syntax.
# It runs in the state directory, and reads the path of Python from its environment.
SUPERVISOR_SECTION = """\
[supervisord]
nodaemon = true
silent = true
loglevel = warn
logfile = logs/supervisord.log
pidfile = run/supervisord.pid
childlogdir = logs
"""
PROGRAM_SECTION = """
[program:{name}]
command = /bin/sh -c 'exec "$SHOP_PYTHON" -m tools.launch {name}'
environment = SHOP_PROGRAM="{name}"
autorestart = true
startsecs = 0
startretries = 1000000
stopwaitsecs = 28
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/{name}.log
"""
GROUP_SECTION = """
[group:{group}]
programs = {names}
priority = {priority}
"""


def write_configuration(state: Path, groups: Mapping[str, list[str]]) -> None:
    """Write supervisord.conf. Programs of one group stop together, the last group first."""
    sections = [SUPERVISOR_SECTION]
    for priority, (group, names) in enumerate(groups.items()):
        sections += [PROGRAM_SECTION.format(name=name) for name in names]
        if names:
            sections.append(GROUP_SECTION.format(group=group, names=",".join(names), priority=priority))
    (state / CONFIGURATION).write_text("".join(sections))


def start(state: Path) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, where no Ctrl-C reaches it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.launch", SUPERVISORD],
        cwd=state,
        env={**os.environ, **processes.marks(state, SUPERVISORD)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def revive(state: Path) -> None:
    """Start supervisord if it is gone, and its keeper, who would have done so, with it."""
    if not is_running(state) and not processes.find(state, KEEPER) and not is_stopping(state):
        start(state)


def is_running(state: Path) -> bool:
    """Tell whether supervisord lives."""
    return bool(processes.find(state, SUPERVISORD))


def is_stopping(state: Path) -> bool:
    """Tell whether somebody has begun to stop the stack."""
    return (state / "run" / "stopping").exists()


def kill(state: Path) -> None:
    """Kill all processes of a stack whose data is not needed any more."""
    if processes.find(state):
        (state / "run" / "stopping").touch()
        processes.end(lambda: processes.find(state), grace=0)


def stop(state: Path) -> bool:
    """Stop the stack, politely first; afterwards no process of it is left, whatever was killed or frozen before.

    Return False if there was none.
    """
    if not processes.find(state):
        return False
    (state / "run" / "stopping").touch()
    processes.send(_frozen(state), signal.SIGCONT)
    processes.send(processes.find(state, SUPERVISORD), signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while is_running(state) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes.end(lambda: processes.find(state), grace=5.0)
    return True


def _frozen(state: Path) -> list[int]:
    return [pid for pid in processes.find(state) if processes.status(pid)[:1] == ["T"]]


def stop_in_background(state: Path) -> None:
    """Stop the stack from a process that does not belong to it."""
    unmarked = {key: value for key, value in os.environ.items() if key != processes.PROGRAM}
    subprocess.Popen(
        [sys.executable, "-m", "tools.supervision", str(state)],
        cwd=ROOT,
        env={key: value for key, value in unmarked.items() if key != processes.STACK},
        start_new_session=True,
    )


if __name__ == "__main__":
    stop(Path(sys.argv[1]))
