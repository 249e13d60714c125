"""Start and stop supervisord with everything that runs under it.

supervisord restarts whatever ends, without limit; `launch` adds the delay between two starts of a program.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools.stack import processes, programs

SUPERVISORD = "supervisord"
CONFIGURATION = "supervisord.conf"
STOPPING = "run/stopping"  # a file of ./dev down: a ./dev up in the foreground then reports no failure
SECONDS_TO_STOP = 30.0  # a little more than `stopwaitsecs`, after which supervisord kills a program

# supervisord.conf contains no path of this machine: supervisord reads a percent sign, " #" and " ;" in it as syntax.
# supervisord runs in the state directory, and its environment has the path of Python.
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
command = /bin/sh -c 'exec "$SHOP_PYTHON" -m tools.stack.launch {name}'
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


def start(state: Path, *, stop_with_parent: bool) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, where no Ctrl-C reaches it.

    With `stop_with_parent` supervisord stops when this process ends, even by SIGKILL.
    """
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", CONFIGURATION]
    if stop_with_parent:
        command = processes.bound_to_parent(command, signal.SIGTERM)
    environment = {**programs.inherited(), "SHOP_PYTHON": sys.executable, **processes.tags(state, SUPERVISORD)}
    nothing = subprocess.DEVNULL
    with (state / "logs" / f"{SUPERVISORD}.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=state, env=environment, stdin=nothing, stdout=log, stderr=log, start_new_session=True
        )


def is_running(state: Path) -> bool:
    """Return whether supervisord is running."""
    return bool(processes.find(state, SUPERVISORD))


def stop(state: Path) -> bool:
    """Stop a stack gracefully, then end every process that is left. Return False if there was none.

    Frozen processes are resumed first, because they do not react to SIGTERM.
    """
    running = processes.find(state)
    if running:
        (state / STOPPING).touch()
    processes.send(running, signal.SIGCONT)
    processes.send(processes.find(state, SUPERVISORD), signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while is_running(state) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes.end(lambda: processes.find(state), grace=5.0)
    return bool(running)
