"""Installing RabbitMQ and wrk with apt, without letting a package start a server of the system's own."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.paths import STATE

PROGRAMS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/opt/rabbitmq/sbin/rabbitmq-server"))
SECONDS_FOR_OTHERS = 120  # what installs packages of its own, as a new machine does after its first boot
POLICY = Path("/usr/sbin/policy-rc.d")
ADVICE = """\
RabbitMQ is not installed and ./dev cannot install it here. Please do one of these:
  sudo apt-get install rabbitmq-server      (Debian, Ubuntu; ./dev runs a server of its own with it)
  RABBITMQ_URL=amqp://user:password@host:5672/ ./dev up      (an administrator's URL of a server that you have)
  docker compose up --build      (everything in containers)"""
WRK_ADVICE = "./dev bench needs wrk and cannot install it here. Please do: sudo apt-get install wrk"


def wrk() -> Path:
    """Return the load generator wrk, installing the package where that is possible; else say what to do."""
    with _one_at_a_time():
        if not shutil.which("wrk") and _can_install():
            _install("wrk")
    found = shutil.which("wrk")
    if not found:
        raise SystemExit(WRK_ADVICE)
    return Path(found)


def rabbitmq_server() -> Path:
    """Return RabbitMQ's start script, installing the package where that is possible; else say what to do."""
    with _one_at_a_time():
        if not _find() and _can_install():
            _install("rabbitmq-server")
    found = _find()
    if not found:
        raise SystemExit(ADVICE)
    return found


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let no other ./dev of this clone look or install meanwhile: a package half installed seems to be there."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
    patience = ("-o", f"DPkg::Lock::Timeout={SECONDS_FOR_OTHERS}")
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy", *patience]
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
