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

from tools.paths import STATE
from tools.stack import mongodb, programs
from tools.stack.readiness import StackError
from tools.stack.spec import Options
from tools.stack.stack import Stack
from tools.stack.supervision import STOPPING, SUPERVISORD

Run = Callable[[argparse.Namespace], int]
FORWARDED_VARIABLES = (
    "CORS_ORIGINS",
    "LOG_LEVEL",
    "MAIL_FROM",
    "SMTP_HELO",
    "SMTP_URL",
    "WEB_CONCURRENCY",
    "WEB_THREADS",
)
FORWARDED_TO_ORDERS = ("PAYMENT_", "STRIPE_")  # the beginnings of names; some of these variables are secrets
NO_SUPERVISORD = """\
supervisord is not running, so nothing restarts a program that fails. Still running: {}.
./dev up stops these and starts everything again; ./dev down only stops them."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    return lambda _: status(Stack(STATE))


def define_logs(parser: argparse.ArgumentParser) -> Run:
    """Show the log of one program and follow it."""
    parser.add_argument("name", help="a program, as ./dev status names it")
    return lambda options: follow(options.name)


def up(*, detach: bool, fresh: bool, mongodb: str = "") -> int:
    """Start the stack; in the foreground, stay until it is stopped."""
    options = options_from_environment(mongodb)
    if mongodb and options.mongo_url:
        return _fail("MONGO_URL names a running server, --mongodb a program to start. Use only one of them.")
    if not (workers := options.settings.get("WEB_CONCURRENCY", "2")).isdecimal() or int(workers) < 1:
        return _fail(f"WEB_CONCURRENCY must be a whole number of at least 1, not {workers!r}.")
    stack = Stack(STATE, options=options)
    if fresh and stack.is_running():
        return _fail("The shop is running, and --fresh would remove its data. Stop it first: ./dev down")
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        print("Starting ...", flush=True)
        started = stack.up(fresh=fresh, stop_with_parent=not detach)
        print(_summary(stack, started), flush=True)
        return 0 if detach or not started else run_in_foreground(stack)
    except StackError as exc:
        return _fail(str(exc))
    except KeyboardInterrupt:
        return 130


def run_in_foreground(stack: Stack) -> int:
    """Wait for Ctrl-C, ./dev down or the end of supervisord, then stop all programs that still run."""
    code = 0
    try:
        while stack.is_running():
            time.sleep(1)
        if stack.leftovers() and not (stack.state / STOPPING).exists():
            code = _fail("supervisord has ended, so nothing restarts a program that fails. Stopping the rest ...")
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    stack.down()
    print("Stopped.")
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def options_from_environment(mongodb: str) -> Options:
    """Return the options that environment variables set; an empty variable counts as not set."""
    payment = {name: value for name, value in os.environ.items() if value and name.startswith(FORWARDED_TO_ORDERS)}
    return Options(
        settings={name: value for name in FORWARDED_VARIABLES if (value := os.environ.get(name))},
        extra=dict.fromkeys(("order-service", "order-worker"), payment),
        mongodb=mongodb,
        mongo_url=os.environ.get("MONGO_URL", ""),
        rabbitmq_url=os.environ.get("RABBITMQ_URL", ""),
        management_url=os.environ.get("RABBITMQ_MANAGEMENT_URL", ""),
    )


def _summary(stack: Stack, started: bool) -> str:
    state = stack.state.name
    rows = {name: f"{url}/docs" for name, url in stack.urls.items()}
    if "rabbitmq" in stack.programs():
        login = f"{programs.DASHBOARD_USER} / {programs.DASHBOARD_PASSWORD}"
        rows["RabbitMQ dashboard"] = f"http://localhost:{stack.ports['rabbitmq-management']}   {login}"
    rows |= {name: server.text for name, server in stack.servers().items()}
    rows["administrator"] = f"{programs.ADMIN_EMAIL} / {programs.ADMIN_PASSWORD}"
    rows["databases, broker"] = f"administrators' URLs in {state}/admin.env"
    rows["logs"] = f"{state}/logs, or ./dev logs NAME"
    title = "The shop is ready." if started else "The shop is already running."
    lines = (f"  {name:<22}{text}" for name, text in rows.items())
    return "\n".join([title, *lines, *stack.notes, "Stop it with ./dev down."])


def down() -> int:
    """Stop the stack, leftovers included."""
    print("Stopped." if Stack(STATE).down() else "The shop was not running.")
    return 0


def status(stack: Stack) -> int:
    """Print every program with its pids; the exit code is 0 when all are ready."""
    if not stack.is_running():
        print(NO_SUPERVISORD.format(leftovers) if (leftovers := ", ".join(stack.leftovers())) else "Not running.")
        return 1
    unready = stack.unready()
    for name in (SUPERVISORD, *stack.programs()):
        pids = " ".join(map(str, stack.pids(name)))
        print(f"{name:<24}{'not ready' if name in unready or not pids else 'running':<12}{pids}")
    return 1 if unready else 0


def follow(name: str) -> int:
    """Show the end of the program's log and follow it, until Ctrl-C."""
    path = STATE / "logs" / f"{name}.log"
    if not path.exists():
        names = ", ".join(sorted(log.stem for log in path.parent.glob("*.log")))
        return _fail(f"There is no log of {name}. There are logs of: {names or 'nothing yet'}.")
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "100", "-F", str(path)])
    return 0
