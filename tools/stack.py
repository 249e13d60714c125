"""A stack: all that `./dev up` runs, with a state directory and ports of its own, for people and for tests."""

import fcntl
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import blueprint, limits, origins, processes, programs, readiness, secret_store, startup, supervision
from tools.blueprint import PORTS, Blueprint, Options
from tools.origins import Origin
from tools.readiness import StackError

SECONDS_TO_START = 120.0


class Stack:
    """All programs of the shop under one supervisor; every object with the same `state` means the same stack.

    `changes` tells, after `up`, which servers are not those of the last time.
    """

    def __init__(self, state: Path, numbers: Mapping[str, int] = PORTS, options: Options | None = None) -> None:
        self.state = state.resolve()
        self.ports = dict(numbers)
        self.urls = blueprint.service_urls(self.ports)
        self.changes: list[str] = []
        self._options = options or Options()
        self._supervisord: subprocess.Popen[bytes] | None = None

    def up(self, *, fresh: bool = False, owned: bool = False) -> bool:
        """Start everything and wait until it is ready; False if it was running before.

        A stack that is `owned` stops by itself when the calling process ends. Raises StackError, naming what cannot
        start and why, and leaves nothing running then.
        """
        self._make_folders()
        with self._locked():
            if self.is_running():
                self.wait_until_ready()
                return False
            supervision.stop(self.state)
            if fresh:
                blueprint.remove_data(self.state)
            try:
                self._start(owned)
            except BaseException:
                self.down()
                raise
        return True

    def down(self) -> bool:
        """Stop everything, whatever state it is in; False if nothing was running."""
        stopped = supervision.stop(self.state)
        self._reap()
        return stopped

    def destroy(self) -> None:
        """Kill everything and remove the state directory: the quick end of a stack that served a test."""
        supervision.kill(self.state)
        self._reap()
        shutil.rmtree(self.state, ignore_errors=True)

    def is_running(self) -> bool:
        """Tell whether the stack is up and nobody is stopping it."""
        return supervision.is_running(self.state) and not supervision.is_stopping(self.state)

    def programs(self) -> dict[str, list[str]]:
        """Return the command of every program by its name, as of the last start."""
        return {name: program["command"] for name, program in self._programs().items()}

    def services(self) -> list[str]:
        """Return the names of the web services and background programs, as of the last start."""
        return [name for name, program in self._programs().items() if program["after"] == programs.PROVISIONED]

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a program, as of the last start."""
        return dict(self._programs()[name]["environment"])

    def origins(self) -> dict[str, Origin]:
        """Return which servers are used and where their data is, by name, as of the last start."""
        return origins.last(self.state)

    def administrators(self) -> dict[str, str]:
        """Return the administrators' `MONGO_URL` and `RABBITMQ_URL`."""
        return dict(line.split("=", 1) for line in (self.state / "admin.env").read_text().splitlines())

    def pids(self, name: str) -> list[int]:
        """Return the pids of a program's processes, oldest (a web service's master) first."""
        return sorted(processes.find(self.state, name), key=processes.start_time)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to all processes of a program; supervisord starts again what ends."""
        processes.send(self.pids(name), number)

    def hold(self, name: str) -> None:
        """Kill a program and keep it from starting until `release`."""
        self._held(name).touch()
        self.kill(name)

    def release(self, name: str) -> None:
        """Let a program start again that was held."""
        self._held(name).unlink(missing_ok=True)

    def wait_until_ready(self, seconds: float = SECONDS_TO_START) -> None:
        """Wait until every service is ready. Raises StackError naming one that is not."""
        self._wait(seconds, starting=False)

    def _wait(self, seconds: float, *, starting: bool) -> None:
        """Wait for every service; a stack that is starting is given up as soon as a part of it ends again and again."""
        deadline = time.monotonic() + seconds
        while missing := readiness.missing(self.state, self.urls, self.services()):
            if starting:
                self._check_starts(missing)
            if supervision.is_stopping(self.state):
                raise StackError("The stack was stopped meanwhile.")
            if time.monotonic() > deadline:
                reason = readiness.last_lines(self.state, missing[0])
                raise StackError(f"Not ready after {seconds:g} s: {', '.join(missing)}.\n{reason}")
            time.sleep(0.1)

    def _start(self, owned: bool) -> None:
        limits.allow_open_files()
        before = origins.last(self.state)
        secrets = secret_store.load(self.state / "secrets.json")
        plan = Blueprint(self.state, self.ports, secrets, self._options)
        startup.require_free(plan.ports_to_bind())
        self._supervisord = startup.launch(self.state, plan, owned=owned)
        startup.prepare(self.state, plan, secrets["mongodb_admin"], self._check_starts)
        self._wait(SECONDS_TO_START, starting=True)
        self.changes = origins.record(self.state, before, plan.origins())

    def _check_starts(self, names: Iterable[str]) -> None:
        """Raise StackError if supervisord has ended, or one of the programs again and again."""
        if self._supervisord and self._supervisord.poll() is not None:
            log = readiness.last_lines(self.state, supervision.SUPERVISORD)
            raise StackError(f"supervisord, which starts all programs, has ended.\n{log}")
        readiness.check_starts(self.state, names)

    def _reap(self) -> None:
        """Let the system forget the supervisord that this process has started, and that has ended now."""
        if self._supervisord:
            self._supervisord.wait()
            self._supervisord = None

    def _make_folders(self) -> None:
        for folder in ("data", "logs", "run"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)

    def _programs(self) -> dict[str, dict[str, Any]]:
        table: dict[str, dict[str, Any]] = json.loads((self.state / "programs.json").read_text())
        return table

    def _held(self, name: str) -> Path:
        return self.state / "run" / f"{name}.held"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
