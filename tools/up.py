"""./dev up, down, status and logs: the stack of this checkout, under .dev/ and on the well-known ports."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

from chassis.config import EnvironmentSettings, PositiveInt
from tools import mongodb, programs, supervision
from tools.blueprint import Options
from tools.paths import STATE
from tools.readiness import StackError, missing
from tools.stack import Stack

Run = Callable[[argparse.Namespace], int]
PASSED_ON = ("CORS_ORIGINS", "LOG_LEVEL", "MAIL_FROM", "SMTP_HELO", "SMTP_URL", "WEB_THREADS")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UpSettings(EnvironmentSettings):
    """The settings of ./dev up: processes per web service."""

    web_concurrency: PositiveInt = 2


def define_up(parser: argparse.ArgumentParser) -> Run:
    """Start everything: databases, broker, services. Ctrl-C stops it."""
    parser.add_argument("--detach", action="store_true", help="return when all is ready; ./dev down stops it")
    parser.add_argument("--fresh", action="store_true", help="start from empty data")
    mongodb.add_option(parser)
    return lambda options: up(detach=options.detach, fresh=options.fresh, mongodb=options.mongodb)


def define_down(_: argparse.ArgumentParser) -> Run:
    """Stop everything that ./dev up has started."""
    return lambda _: down()


def define_status(_: argparse.ArgumentParser) -> Run:
    """Show what is running and whether it is ready."""
    return lambda _: status()


def define_logs(parser: argparse.ArgumentParser) -> Run:
    """Show the log of one program and follow it."""
    parser.add_argument("name", help="a program, as ./dev status names it")
    return lambda options: follow(options.name)


def up(*, detach: bool, fresh: bool, mongodb: str = "") -> int:
    """Start the stack; in the foreground, stay until somebody stops it."""
    if mongodb and os.environ.get("MONGO_URL"):
        return _complain("MONGO_URL names a server that runs, --mongodb one to start. Leave one of them out.")
    stack = Stack(STATE, options=_options(mongodb))
    if fresh and stack.is_running():
        return _complain("It is running, and so keeps its data. Stop it first: ./dev down")
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return _up(stack, detach, fresh)
    except StackError as exc:
        return _complain(str(exc))
    except KeyboardInterrupt:
        return 130


def _up(stack: Stack, detach: bool, fresh: bool) -> int:
    print("Starting ...", flush=True)
    started = stack.up(fresh=fresh, owned=not detach)
    print(_summary(stack, started), flush=True)
    return 0 if detach or not started else _stay(stack)


def _stay(stack: Stack) -> int:
    """Wait for Ctrl-C or ./dev down; should supervisord and its keeper die together, start them again."""
    try:
        while not supervision.is_stopping(stack.state):
            supervision.revive(stack.state)
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    stack.down()
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


def _options(mongodb: str) -> Options:
    return Options(
        workers=UpSettings.load().web_concurrency,
        settings={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        mongodb=mongodb,
        mongo_url=os.environ.get("MONGO_URL", ""),
        rabbitmq_url=os.environ.get("RABBITMQ_URL", ""),
        management_url=os.environ.get("RABBITMQ_MANAGEMENT_URL", ""),
    )


def _summary(stack: Stack, started: bool) -> str:
    state = stack.state.name
    lines = [f"  {name:<22}{url}/docs" for name, url in stack.urls.items()]
    dashboard = f"{programs.DASHBOARD_USER} / {programs.DASHBOARD_PASSWORD}"
    if "rabbitmq" in stack.programs():
        lines.append(f"  {'RabbitMQ dashboard':<22}http://localhost:{stack.ports['rabbitmq-management']}   {dashboard}")
    lines += [f"  {name:<22}{origin.text}" for name, origin in stack.origins().items()]
    lines += [
        f"  {'administrator':<22}{programs.ADMIN_EMAIL} / {programs.ADMIN_PASSWORD}",
        f"  {'databases, broker':<22}administrators' URLs in {state}/admin.env",
        f"  {'logs':<22}{state}/logs, or ./dev logs NAME",
    ]
    title = "The shop is ready." if started else "The shop is running already."
    return "\n".join([title, *lines, *stack.changes, "Stop it with ./dev down."])


def down() -> int:
    """Stop the stack and sweep up what is left of it."""
    print("Stopped." if Stack(STATE).down() else "It was not running.")
    return 0


def status() -> int:
    """Print every program with its pids; the exit code is 0 when all are ready."""
    stack = Stack(STATE)
    if not stack.is_running():
        print("Not running.")
        return 1
    unready = missing(stack.state, stack.urls, stack.services())
    for name in stack.programs():
        pids = " ".join(map(str, stack.pids(name)))
        print(f"{name:<24}{'not ready' if name in unready or not pids else 'running':<12}{pids}")
    return 1 if unready else 0


def follow(name: str) -> int:
    """Show the end of the program's log and follow it, until Ctrl-C."""
    path = STATE / "logs" / f"{name}.log"
    if not path.exists():
        names = ", ".join(sorted(log.stem for log in path.parent.glob("*.log")))
        return _complain(f"There is no log of {name}. There are: {names or 'none yet'}.")
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "100", "-F", str(path)])
    return 0
