"""The commands of ./dev. To add one, write it in a module of its own and name it in `COMMANDS`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence

from tools.audit import command as audit
from tools.backup import command as backup
from tools.bench import command as bench
from tools.chaos import command as chaos
from tools.checks import command as checks
from tools.checks import lock, supply_chain
from tools.kubernetes import command as kubernetes
from tools.observe import trace_command as trace
from tools.order import command as order
from tools.stack import command as stack

COMMANDS: dict[str, Callable[[argparse.ArgumentParser], Callable[[argparse.Namespace], int]]] = {
    "up": stack.define_up,
    "down": stack.define_down,
    "status": stack.define_status,
    "logs": stack.define_logs,
    "test": checks.define_test,
    "chaos": chaos.define,
    "audit": audit.define,
    "backup": backup.define_backup,
    "restore": backup.define_restore,
    "order": order.define,
    "trace": trace.define,
    "bench": bench.define,
    "model": checks.define_model,
    "kubernetes": kubernetes.define,
    "lock": lock.define_lock,
    "sbom": supply_chain.define_sbom,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="./dev", description="Run, test and examine the shop on this machine.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, define in COMMANDS.items():
        summary = (define.__doc__ or "").partition("\n")[0]
        subparser = subparsers.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        subparser.set_defaults(run=define(subparser))
    options, rest = parser.parse_known_args(arguments)
    if hasattr(options, "rest"):
        options.rest = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    code: int = options.run(options)
    return code


def run() -> int:
    """Run the command of the command line; end quietly when the reader has gone, as `head` does."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + signal.SIGPIPE
    return code


if __name__ == "__main__":
    sys.exit(run())
