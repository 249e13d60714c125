"""Programs that come as Debian packages: found on this machine, or installed with apt. Standard library only."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.paths import STATE

# Debian's own script in /usr/sbin is not among them: it changes the user and the folders.
RABBITMQ_SCRIPTS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/opt/rabbitmq/sbin/rabbitmq-server"))
LOCK_TIMEOUT = 120  # seconds; a new machine installs packages of its own after its first boot
POLICY = Path("/usr/sbin/policy-rc.d")  # packages ask it before they start a service
RABBITMQ_ADVICE = """\
RabbitMQ is not installed and ./dev cannot install it here. Please do one of these:
  sudo apt-get install rabbitmq-server      (Debian, Ubuntu; ./dev runs a server of its own with it)
  RABBITMQ_URL=amqp://user:password@host:5672/ ./dev up      (an administrator's URL of a server that you have)
  docker compose up --build      (everything in containers)"""
WRK_ADVICE = "./dev bench needs wrk and cannot install it here. Please run: sudo apt-get install wrk"
BROWSERS = ("chromium", "google-chrome", "chromium-browser")  # the last may be Ubuntu's, which only names a snap
CHROMIUM_ADVICE = "the tests of the page need Chromium. Please run: sudo apt-get install chromium"
MONITORING_ADVICE = "./dev needs {program} and cannot install it here. Please run: sudo apt-get install {package}"


def install(package: str, reason: str) -> bool:
    """Install a package as root, or with a sudo that needs no password; return False where neither is possible.

    It asks no questions and starts no service of the package.
    """
    if not shutil.which("apt-get") or not _can_become_root():
        return False
    print(f"./dev: installing {package} and what it depends on, with apt: {reason}", file=sys.stderr)
    options = ("-qq", "--yes", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT}")
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options)
    with _no_services_started():
        _run_as_root(*apt, "update")
        _run_as_root(*apt, "install", "--no-install-recommends", package)
    return True


def rabbitmq_server() -> Path:
    """Return RabbitMQ's start script, installing the package where that is possible. Raises SystemExit with advice."""
    with _one_at_a_time():
        if not _rabbitmq_script() and install("rabbitmq-server", "the message broker of the shop"):
            print("./dev: disabling the system's RabbitMQ at boot; ./dev runs a server of its own", file=sys.stderr)
            _run_as_root("update-rc.d", "rabbitmq-server", "disable")
        if script := _rabbitmq_script():
            return script
    raise SystemExit(RABBITMQ_ADVICE)


def wrk() -> Path:
    """Return the load generator wrk, installing the package where that is possible. Raises SystemExit with advice."""
    with _one_at_a_time():
        if not shutil.which("wrk"):
            install("wrk", "the load generator of ./dev bench")
    if program := shutil.which("wrk"):
        return Path(program)
    raise SystemExit(WRK_ADVICE)


def prometheus() -> Path:
    """Return the server of metrics, installing its package where that is possible. Raises SystemExit with advice."""
    return _of_monitoring("prometheus", "prometheus", "the server of the shop's metrics and alerts")


def promtool() -> Path:
    """Return the checker of rules, which comes with Prometheus. Raises SystemExit with advice."""
    return _of_monitoring("promtool", "prometheus", "the checker of the shop's alerts")


def amtool() -> Path:
    """Return the checker of Alertmanager's configuration. Raises SystemExit with advice."""
    return _of_monitoring("amtool", "prometheus-alertmanager", "the checker of who is told of an alert")


def etcd() -> Path:
    """Return Kubernetes' database, installing its package where that is possible. Raises SystemExit with advice."""
    return _of_monitoring("etcd", "etcd-server", "the database of the API server that ./dev kubernetes runs", "etcd")


def chromium() -> Path | None:
    """Return Chromium or Chrome, installing the package where that is possible; None where there is neither."""
    with _one_at_a_time():
        if not (browser := _browser()) and install("chromium", "the browser for the tests of the page"):
            browser = _browser()
    return browser


def _of_monitoring(program: str, package: str, reason: str, service: str = "") -> Path:
    """Return a program of a package whose service of the system shall not run: ./dev runs its own, or none."""
    with _one_at_a_time():
        if not shutil.which(program) and install(package, reason):
            print(f"./dev: disabling the system's service {service or package} at boot", file=sys.stderr)
            _run_as_root("update-rc.d", service or package, "disable")
    if path := shutil.which(program):
        return Path(path)
    raise SystemExit(MONITORING_ADVICE.format(program=program, package=package))


def _rabbitmq_script() -> Path | None:
    on_path = shutil.which("rabbitmq-server")
    others = [Path(on_path)] if on_path and "/usr/sbin" not in on_path else []
    return next((path for path in (*RABBITMQ_SCRIPTS, *others) if path.exists()), None)


def _browser() -> Path | None:
    """Return the first browser on the PATH that can be run."""
    for path in filter(None, map(shutil.which, BROWSERS)):
        if not subprocess.run([path, "--version"], capture_output=True).returncode:
            return Path(path)
    return None


def _can_become_root() -> bool:
    if os.geteuid() == 0:
        return True
    return bool(shutil.which("sudo")) and not subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode


def _run_as_root(*command: str) -> None:
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    subprocess.run([*sudo, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Keep Debian's packages from starting services within the block. An existing policy stays."""
    if POLICY.exists():
        yield
        return
    _run_as_root("sh", "-c", f"printf '#!/bin/sh\nexit 101\n' > {POLICY} && chmod 755 {POLICY}")
    try:
        yield
    finally:
        _run_as_root("rm", "-f", str(POLICY))


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Make other ./dev commands of this clone wait: a half-installed package looks complete to them."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
