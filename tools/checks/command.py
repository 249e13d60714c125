"""./dev test: all checks and tests, the quickest first. ./dev model: the executable specifications."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from tools import apt
from tools.checks import compose
from tools.paths import ROOT
from tools.services import SERVICES
from tools.stack import mongodb, open_files

Run = Callable[[argparse.Namespace], int]

SHIPPED = ("chassis", "deploy", *(service.name for service in SERVICES))
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("bandit", "--quiet", "--skip", "B105,B107", "--recursive", *SHIPPED),  # ruff looks for passwords (S105 to S107)
    ("bandit", "--quiet", "-ll", "--recursive", "tools"),
    ("tools.checks.supply_chain",),
)
TIMEOUT = 1500  # seconds
LONGEST_WAITS = ("tests/e2e/test_outages.py", "tests/e2e/test_running.py")
OBSERVED = ("tests/e2e/test_alerts.py", "tests/e2e/test_traces.py")  # they use no stack of the others
PAGE = "tests/e2e/storefront"  # after the others: a browser needs the processors for itself
TESTS = (
    ("tests/unit", "tests/contract", *LONGEST_WAITS),
    ("tests/integration",),
    OBSERVED,
    ("tests/e2e", *(f"--ignore={path}" for path in (*LONGEST_WAITS, *OBSERVED, PAGE))),
)


def define_test(parser: argparse.ArgumentParser) -> Run:
    """Run every check and test there is, or only pytest with the given arguments."""
    parser.usage = "./dev test [--compose] [--mongodb PROGRAM] [arguments for pytest; only pytest runs then]"
    parser.add_argument("--compose", action="store_true", help="run the end-to-end tests against docker compose")
    mongodb.add_option(parser)
    parser.set_defaults(rest=[])  # takes pytest's own options, in the order in which they were given
    return lambda options: test(options.rest, in_compose=options.compose, server=options.mongodb)


def define_model(parser: argparse.ArgumentParser) -> Run:
    """Search the models of placing and paying an order for a broken promise; print the steps to one; exit with 1."""
    parser.usage = "./dev model [--large] [--without RULE]"
    parser.epilog = "--large takes long; --without shows what happens without one of the rules of tests/model."
    parser.set_defaults(rest=[])
    return lambda options: run("tests.model", *options.rest)


def test(pytest_arguments: Sequence[str], *, in_compose: bool, server: str) -> int:
    """Run the requested tests and return the first exit code that is not 0."""
    if in_compose:
        with compose.running() as environment:
            return run("pytest", *(pytest_arguments or ["tests/e2e"]), environment=environment)
    open_files.raise_limit()
    server_option = (f"--mongodb={server}",) if server else ()
    if pytest_arguments:
        return run("pytest", *server_option, *pytest_arguments)
    checked = next((code for check in CHECKS if (code := run(*check))), 0)
    return checked or test_in_parallel(server_option) or test_page(server_option)


def test_in_parallel(server_option: Sequence[str]) -> int:
    """Run the tests in four processes at once: they mostly wait. Three take about the same time, `OBSERVED` half of it.

    The last process prints as it runs. The others print at their end: everything after a failure, else the last line.
    """
    *others, last = ((*server_option, *folders) for folders in TESTS)
    for program in (apt.rabbitmq_server, apt.promtool, apt.amtool):
        program()  # no test should wait for its installation
    deadline = time.monotonic() + TIMEOUT
    print(f"\n$ pytest {' '.join(last)}", flush=True)
    with ExitStack() as files:
        shown = _start_pytest(last)
        outputs = [files.enter_context(tempfile.TemporaryFile("w+")) for _ in others]
        processes = [_start_pytest(folders, output) for folders, output in zip(others, outputs, strict=True)]
        codes = [_exit_code(process, deadline) for process in (shown, *processes)]
        for folders, output, code in zip(others, outputs, codes[1:], strict=True):
            output.seek(0)
            text = output.read()
            print(f"\n$ pytest {' '.join(folders)}\n{text if code else text.splitlines()[-1]}", flush=True)
    return next((code for code in codes if code), 0)


def test_page(server_option: Sequence[str]) -> int:
    """Run the tests of the page, each of which is skipped where there is no browser."""
    if not apt.chromium():
        print(f"\nSKIPPED: {apt.CHROMIUM_ADVICE}")
    return run("pytest", *server_option, PAGE)


def _start_pytest(folders: Sequence[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start pytest so that SIGABRT makes it print a traceback of each of its threads."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(_command("pytest", *folders), cwd=ROOT, stdout=output, stderr=output, env=environment)


def _exit_code(process: subprocess.Popen[bytes], deadline: float) -> int:
    """Wait for a process and return its exit code. Abort it at the deadline."""
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.wait()


def _command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Run a module of the virtual environment from the top of the repository."""
    print(f"\n$ {module} {' '.join(arguments)}", flush=True)
    return subprocess.run(_command(module, *arguments), cwd=ROOT, env={**os.environ, **(environment or {})}).returncode
