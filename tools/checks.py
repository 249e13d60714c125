"""./dev test: all checks and tests, in the order in which they are cheapest to fail."""

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

from tools import compose, limits, mongodb, packages
from tools.paths import ROOT

SHIPPED = ("chassis", "deploy", "user-service", "product-service", "order-service", "notification-service")
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("bandit", "--quiet", "--skip", "B105,B107", "--recursive", *SHIPPED),  # ruff looks for passwords (S105 to S107)
    ("bandit", "--quiet", "-ll", "--recursive", "tools", "bench"),
    ("tools.supply_chain",),
)
SECONDS_TO_END = 1500
LONGEST_WAITS = ("tests/e2e/test_outages.py", "tests/e2e/test_running.py")
TESTS = (
    ("tests/unit", "tests/contract", *LONGEST_WAITS),
    ("tests/integration",),
    ("tests/e2e", *(f"--ignore={path}" for path in LONGEST_WAITS)),
)


def define_test(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Run every check and test there is, or only pytest with the given arguments."""
    parser.usage = "./dev test [--compose] [--mongodb PROGRAM] [arguments for pytest; only pytest runs then]"
    parser.add_argument("--compose", action="store_true", help="run the end-to-end tests against docker compose")
    mongodb.add_option(parser)
    parser.set_defaults(rest=[])  # takes pytest's own options, in the order in which they were given
    return lambda options: test(options.rest, in_compose=options.compose, server=options.mongodb)


def test(pytest_arguments: Sequence[str], *, in_compose: bool, server: str) -> int:
    """Run what is asked for and return the first exit code that is not 0."""
    if in_compose:
        with compose.running() as environment:
            return run("pytest", *(pytest_arguments or ["tests/e2e"]), environment=environment)
    limits.allow_open_files()
    choice = (f"--mongodb={server}",) if server else ()
    if pytest_arguments:
        return run("pytest", *choice, *pytest_arguments)
    return next((code for check in CHECKS if (code := run(*check))), 0) or test_side_by_side(choice)


def test_side_by_side(choice: Sequence[str]) -> int:
    """Run all tests in three processes that take about the same time: what they do most is wait.

    The last one prints as it goes; of the others, when they have ended, one that failed prints all, one that passed
    its last line.
    """
    *others, last = ((*choice, *folders) for folders in TESTS)
    packages.rabbitmq_server()  # which may take long where it is to be installed; no test should wait for that
    deadline = time.monotonic() + SECONDS_TO_END
    print(f"\n$ pytest {' '.join(last)}", flush=True)
    with ExitStack() as files:
        shown = start_pytest(last)
        outputs = [files.enter_context(tempfile.TemporaryFile("w+")) for _ in others]
        processes = [start_pytest(folders, output) for folders, output in zip(others, outputs, strict=True)]
        code = end_of(shown, deadline)
        for folders, output, process in zip(others, outputs, processes, strict=True):
            failed = end_of(process, deadline)
            code = failed or code
            output.seek(0)
            printed = output.read()
            print(f"\n$ pytest {' '.join(folders)}\n{printed if failed else printed.splitlines()[-1]}", flush=True)
    return code


def start_pytest(folders: Sequence[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start pytest so that SIGABRT makes it show where each of its threads is."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(command("pytest", *folders), cwd=ROOT, stdout=output, stderr=output, env=environment)


def end_of(process: subprocess.Popen[bytes], deadline: float) -> int:
    """Wait for a process and return its exit code; one that has not ended by then is aborted."""
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.wait()


def command(module: str, *arguments: str) -> list[str]:
    """Return the command of one tool of the virtual environment."""
    return [sys.executable, "-m", module, *arguments]


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Run one tool of the virtual environment from the top of the repository."""
    print(f"\n$ {module} {' '.join(arguments)}", flush=True)
    return subprocess.run(command(module, *arguments), cwd=ROOT, env={**os.environ, **(environment or {})}).returncode
