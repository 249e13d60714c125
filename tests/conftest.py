"""What every test gets: logging, tracing and the request's id as if no other test had run before."""

import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from chassis import logs
from chassis.telemetry import context, tracing
from tools.stack.mongodb import PROGRAMS, find


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mongodb", default="", help=f"the MongoDB server to test with: {', '.join(PROGRAMS)}, or a path")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.update(dict.fromkeys(("NO_PROXY", "no_proxy"), "*"))  # tests speak to this machine only
    program = config.getoption("--mongodb")
    if program and not find(program):
        raise pytest.UsageError(f"there is no MongoDB server {program} here")


@pytest.fixture(scope="session")
def mongodb_program(request: pytest.FixtureRequest) -> str:
    """The MongoDB server program that the command line names; empty for the usual one."""
    return str(request.config.getoption("--mongodb"))


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    level, request_id = root.level, logs.request_id.set("")
    trace = context.current.set(None)
    hooks = sys.excepthook, threading.excepthook
    library = logging.getLogger("opentelemetry")
    handlers, of_library, propagate = root.handlers[:], library.handlers[:], library.propagate
    yield
    root.handlers[:], library.handlers[:], library.propagate = handlers, of_library, propagate
    sys.excepthook, threading.excepthook = hooks
    logs.request_id.reset(request_id)
    leaked = context.current.get()
    context.current.reset(trace)
    tracing.record_with(None)
    root.setLevel(level)
    assert leaked is None, "the trace of a request is still the current one after its end"
