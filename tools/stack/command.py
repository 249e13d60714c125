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
from tools.stack import mongodb, screen
from tools.stack.prometheus import Observe
from tools.stack.readiness import StackError
from tools.stack.spec import Options
from tools.stack.stack import Stack
from tools.stack.supervision import STOPPING

Run = Callable[[argparse.Namespace], int]
FORWARDED_VARIABLES = (
    "CORS_ORIGINS",
    "LOG_LEVEL",
    "MAIL_FROM",
    "SHOP_ADDRESS",
    "SHOP_NAME",
    "SMTP_HELO",
    "SMTP_URL",
    "WEB_CONCURRENCY",
    "WEB_THREADS",
)
FORWARDED_TO_ALL = ("OTEL_",)  # the beginnings of names
FORWARDED_TO_ORDERS = ("PAYMENT_", "STRIPE_", "WORKER_")  # the same; some of these variables are secrets
NO_SUPERVISORD = """\
supervisord is not running, so nothing restarts a program that fails. Still running: {}.
./dev up stops these and starts everything again; ./dev down only stops them."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def define_up(parser: argparse.ArgumentParser) -> Run:
    """Start everything: databases, broker, services. Ctrl-C stops it."""
    parser.add_argument("--detach", action="store_true", help="return when all is ready; ./dev down stops it")
    parser.add_argument("--fresh", action="store_true", help="start from empty data")
    parser.add_argument("--observe", action="store_true", help="with Prometheus, its alerts, and a receiver of traces")
    mongodb.add_option(parser)
    return lambda options: up(
        detach=options.detach, fresh=options.fresh, mongodb=options.mongodb, observe=options.observe
    )


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


def up(*, detach: bool, fresh: bool, mongodb: str = "", observe: bool = False) -> int:
    """Start the stack; in the foreground, stay until it is stopped."""
    options = options_from_environment(mongodb, Observe() if observe else None)
    if mongodb and options.mongo_url:
        return _fail("MONGO_URL names a running server, --mongodb a program to start. Use only one of them.")
    if not (workers := options.settings.get("WEB_CONCURRENCY", "2")).isdecimal() or int(workers) < 1:
        return _fail(f"WEB_CONCURRENCY must be a whole number of at least 1, not {workers!r}.")
    stack = Stack(STATE, options=options)
    if fresh and stack.is_running():
        return _fail("The shop is running, and --fresh would remove its data. Stop it first: ./dev down")
    if observe and stack.is_running() and "prometheus" not in stack.pages():
        return _fail("The shop is running without --observe. Stop it first: ./dev down")
    interrupt_on_signals()
    try:
        print("Starting ...", flush=True)
        started = stack.up(fresh=fresh, stop_with_parent=not detach)
        print(screen.summary(stack, started=started), flush=True)
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
        if (stack.state / STOPPING).exists():  # by another command, which ends the rest; ./dev restore starts it again
            print("Stopped.")
            return 0
        if stack.leftovers():
            code = _fail("supervisord has ended, so nothing restarts a program that fails. Stopping the rest ...")
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    stack.down()
    print("Stopped.")
    return code


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt at each signal that asks to stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def options_from_environment(mongodb: str, observe: Observe | None = None) -> Options:
    """Return the options that environment variables set; an empty variable counts as not set."""
    given = {name: value for name, value in os.environ.items() if value}
    payment = {name: value for name, value in given.items() if name.startswith(FORWARDED_TO_ORDERS)}
    forwarded = (name for name in given if name in FORWARDED_VARIABLES or name.startswith(FORWARDED_TO_ALL))
    return Options(
        settings={name: given[name] for name in forwarded},
        extra=dict.fromkeys(("order-service", "order-worker"), payment),
        mongodb=mongodb,
        mongo_url=os.environ.get("MONGO_URL", ""),
        rabbitmq_url=os.environ.get("RABBITMQ_URL", ""),
        management_url=os.environ.get("RABBITMQ_MANAGEMENT_URL", ""),
        observe=observe,
    )


def down() -> int:
    """Stop the stack, leftovers included."""
    print("Stopped." if Stack(STATE).down() else "The shop was not running.")
    return 0


def status(stack: Stack) -> int:
    """Print every program with its pids and metrics; the exit code is 0 when all are ready."""
    if not stack.is_running():
        print(NO_SUPERVISORD.format(leftovers) if (leftovers := ", ".join(stack.leftovers())) else "Not running.")
        return 1
    unready = stack.unready()
    print("\n".join(screen.status(stack, unready)))
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
