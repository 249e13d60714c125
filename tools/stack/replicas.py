"""More replicas of a stack's web service, each on a port of its own, as Kubernetes runs several pods of it."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy import healthcheck
from tools.paths import ROOT
from tools.stack import ports, processes, readiness
from tools.stack.readiness import StackError
from tools.stack.stack import Stack

SECONDS_TO_START, SECONDS_TO_STOP = 60.0, 30.0


@dataclass(frozen=True)
class Replica:
    """A running replica; its processes and its log have its name."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Stop it gracefully, and return its exit code. Raises TimeoutExpired."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_TO_STOP)


@contextmanager
def running(stack: Stack, service: str, number: int) -> Iterator[Replica]:
    """Run another replica of a web service, and wait until it is ready; it is killed at the end of the block.

    It has the settings of the stack's own instance. Raises StackError if it cannot start.
    """
    name, port = f"{service}-{number}", ports.free_ports(1)[0]
    command = [word for word in stack.programs()[service]["command"] if not word.startswith("--bind=")]
    command.insert(-1, f"--bind=127.0.0.1:{port}")
    environment = {**stack.environment(service), **processes.tags(stack.state, name)}
    with (stack.state / "logs" / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        replica = Replica(name, port, process)
        _wait_until_ready(stack, replica)
        yield replica
    finally:
        processes.end(lambda: processes.find(stack.state, name), grace=0)
        process.wait()


def _wait_until_ready(stack: Stack, replica: Replica) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not healthcheck.is_ready(replica.url, timeout=readiness.PATIENCE):
        if replica.process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"{replica.name} cannot start.\n{readiness.last_lines(stack.state, replica.name)}")
        time.sleep(0.05)
