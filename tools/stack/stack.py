"""A stack: everything that `./dev up` runs, with a state directory and ports of its own."""

import fcntl
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tools.services import MOVABLE, PORTS, STOREFRONT, local_urls
from tools.stack import dev_secrets, open_files, processes, programs, readiness, server_history, startup, supervision
from tools.stack.ports import next_free
from tools.stack.readiness import StackError, SupervisordEnded
from tools.stack.spec import Options, StackSpec

SECONDS_TO_START = 120.0


class Stack:
    """All programs of the shop under one supervisor. Objects with the same `state` are the same stack.

    After `up`, `notes` names the servers that differ from the last start.
    """

    def __init__(self, state: Path, ports: Mapping[str, int] = PORTS, options: Options | None = None) -> None:
        self.state = state.resolve()
        self.ports = dict(ports)
        self.urls = local_urls(ports)
        self.notes: list[str] = []
        self._options = options or Options()
        self._supervisord: subprocess.Popen[bytes] | None = None

    def up(self, *, fresh: bool = False, stop_with_parent: bool = False) -> bool:
        """Start everything and wait until it is ready; return False if it was running already.

        Leftovers of a stack whose supervisord was killed are ended first. With `stop_with_parent` the stack stops when
        the calling process ends. If a program cannot start, stops everything and raises StackError with the reason.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not fresh:
                startup.require_restored(self.state)
            if self.is_running():
                with suppress(SupervisordEnded):  # it was stopping
                    self.wait_until_ready()
                    return False
            self._restart(startup.NOTHING, fresh=fresh, stop_with_parent=stop_with_parent)
        return True

    def restart(self, preparation: startup.Preparation) -> None:
        """Stop everything, and start it as `up` does after a preparation, without the programs that it holds back."""
        self.state.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._restart(preparation)

    def _restart(
        self, preparation: startup.Preparation, *, fresh: bool = False, stop_with_parent: bool = False
    ) -> None:
        self.down()
        if fresh:
            shutil.rmtree(self.state / "data", ignore_errors=True)
        try:
            self._start(preparation, stop_with_parent=stop_with_parent)
        except BaseException:
            self.down()
            raise

    def down(self) -> bool:
        """Stop everything, whatever state it is in; return False if nothing was running."""
        stopped = supervision.stop(self.state)
        self._reap()
        return stopped

    def destroy(self) -> None:
        """Kill everything and remove the state directory: the quick end of a test's stack."""
        processes.end(lambda: processes.find(self.state), grace=0)
        self._reap()
        shutil.rmtree(self.state, ignore_errors=True)

    def is_running(self) -> bool:
        """Return whether supervisord, which restarts all other programs, is running."""
        return supervision.is_running(self.state)

    def leftovers(self) -> list[str]:
        """Return the programs that still run in a stack whose supervisord was killed."""
        return [name for name in self.programs() if self.pids(name)] if processes.find(self.state) else []

    def programs(self) -> dict[str, dict[str, Any]]:
        """Return the fields of every program by its name, as of the last start."""
        table: dict[str, dict[str, Any]] = json.loads((self.state / "programs.json").read_text())
        return table

    def services(self) -> list[str]:
        """Return the names of the web services and background programs, as of the last start."""
        return [name for name, program in self.programs().items() if program["after"] == programs.PROVISIONED]

    def pages(self) -> dict[str, str]:
        """Return the URL of what a program shows beside its API, such as its metrics, by name, as of the last start."""
        return {name: program["page"] for name, program in self.programs().items() if program.get("page")}

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables of a program, as of the last start, for another command with the same settings.

        Without its tags: a restart of the program ends every process that has them.
        """
        variables: dict[str, str] = self.programs()[name]["environment"]
        return {variable: value for variable, value in variables.items() if variable not in processes.TAGS}

    def servers(self) -> dict[str, server_history.ServerRecord]:
        """Return which servers are used and where their data is, by name, as of the last start."""
        return server_history.last(self.state)

    def administrators(self) -> dict[str, str]:
        """Return the administrators' `MONGO_URL` and `RABBITMQ_URL`."""
        return dict(line.split("=", 1) for line in (self.state / "admin.env").read_text().splitlines())

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes of a program, oldest (a web service's master) first."""
        return processes.find(self.state, name)

    def pids(self, name: str) -> list[int]:
        """Return the pids of a program's processes, oldest first."""
        return [process.pid for process in self.processes(name)]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to all processes of a program; supervisord restarts it if it ends."""
        processes.send(self.processes(name), number)

    def suspend(self, name: str) -> None:
        """Kill a program and keep it from starting until `resume`."""
        processes.suspension(self.state, name).touch()
        self.kill(name)

    def resume(self, name: str) -> None:
        """Let a suspended program start again."""
        processes.suspension(self.state, name).unlink(missing_ok=True)

    def unready(self) -> list[str]:
        """Return the services, the background programs and the storefront, as far as they are not ready."""
        page = {name: url for name, url in self.pages().items() if name == STOREFRONT}
        return readiness.unready(self.state, self.urls | page, [*self.services(), *page])

    def wait_until_ready(
        self, seconds: float = SECONDS_TO_START, *, starting: bool = False, held: Collection[str] = ()
    ) -> None:
        """Wait until everything but what is held back is ready. Raises StackError, which names what is not.

        If `starting`, a program that ends repeatedly raises it at once.
        """
        deadline = time.monotonic() + seconds
        while unready := [name for name in self.unready() if name not in held]:
            self._check_starts(unready if starting else ())
            if time.monotonic() > deadline:
                reason = readiness.last_lines(self.state, unready[0])
                raise StackError(f"Not ready after {seconds:g} s: {', '.join(unready)}.\n{reason}")
            time.sleep(0.1)

    def _start(self, preparation: startup.Preparation, *, stop_with_parent: bool) -> None:
        open_files.raise_limit()
        for folder in ("data", "logs", "run"):
            (self.state / folder).mkdir(exist_ok=True)
        secrets = dev_secrets.load(self.state / "secrets.json")
        movable = {name: self.ports[name] for name in MOVABLE}
        self.ports |= next_free(movable, [port for name, port in self.ports.items() if name not in movable])
        spec = StackSpec(self.state, self.ports, secrets, self._options)
        startup.require_free(spec.ports_to_bind())
        held = preparation.held
        self._supervisord = startup.start_programs(self.state, spec, held, stop_with_parent=stop_with_parent)
        startup.prepare(self.state, spec, secrets["mongodb_admin"], self._check_starts, preparation)
        self.wait_until_ready(starting=True, held=held)
        self.notes = server_history.record(self.state, spec.servers())

    def _check_starts(self, names: Iterable[str]) -> None:
        """Raise StackError if supervisord has ended, or one of the programs ends repeatedly."""
        if not self.is_running():
            log = readiness.last_lines(self.state, supervision.SUPERVISORD)
            raise SupervisordEnded(f"supervisord, which starts all programs, has ended.\n{log}")
        readiness.check_starts(self.state, names)

    def _reap(self) -> None:
        """Wait for the supervisord that this process has started, so that no zombie stays behind."""
        if self._supervisord:
            self._supervisord.wait()
            self._supervisord = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
