"""Installing RabbitMQ and wrk with apt, without letting a package start a server of the system's own."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/opt/rabbitmq/sbin/rabbitmq-server"))
POLICY = Path("/usr/sbin/policy-rc.d")
ADVICE = """\
RabbitMQ is not installed and ./dev cannot install it here. Please do one of these:
  sudo apt-get install rabbitmq-server      (Debian, Ubuntu; ./dev runs a server of its own with it)
  RABBITMQ_URL=amqp://user:password@host:5672/ ./dev up      (an administrator's URL of a server that you have)
  docker compose up --build      (everything in containers)"""
WRK_ADVICE = "./dev bench needs wrk and cannot install it here. Please do: sudo apt-get install wrk"


def wrk() -> Path:
    """Return the load generator wrk, installing the package where that is possible; else say what to do."""
    if not shutil.which("wrk") and _can_install():
        _install("wrk")
    found = shutil.which("wrk")
    if not found:
        raise SystemExit(WRK_ADVICE)
    return Path(found)


def rabbitmq_server() -> Path:
    """Return RabbitMQ's start script, installing the package where that is possible; else say what to do."""
    found = _find()
    if not found and _can_install():
        _install("rabbitmq-server")
        found = _find()
    if not found:
        raise SystemExit(ADVICE)
    return found


def _find() -> Path | None:
    """Debian's own script in /usr/sbin is passed over: it changes the user and the folders."""
    on_path = [Path(found) for found in [shutil.which("rabbitmq-server")] if found and "/usr/sbin" not in found]
    return next((path for path in (*PROGRAMS, *on_path) if path.exists()), None)


def _can_install() -> bool:
    if not shutil.which("apt-get"):
        return False
    if os.geteuid() == 0:
        return True
    return (
        shutil.which("sudo") is not None and not subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode
    )


def _install(package: str) -> None:
    print(f"./dev: installing {package} with apt ...", file=sys.stderr)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy"]
    with _no_services_started(sudo):
        for command in (["update"], ["install", "--no-install-recommends", package]):
            subprocess.run([*apt, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _no_services_started(sudo: list[str]) -> Iterator[None]:
    """Let Debian's packages start nothing meanwhile; a policy that is there already is left alone."""
    if POLICY.exists():
        yield
        return
    subprocess.run([*sudo, "tee", POLICY], input=b"#!/bin/sh\nexit 101\n", stdout=subprocess.DEVNULL)
    subprocess.run([*sudo, "chmod", "755", POLICY])
    try:
        yield
    finally:
        subprocess.run([*sudo, "rm", "-f", POLICY])
