"""./dev backup and ./dev restore."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from deploy import backup
from deploy.archive import verification
from deploy.archive.manifest import BackupError
from tools.backup.restoration import Restoration
from tools.paths import ROOT, STATE
from tools.stack import mongodb, screen
from tools.stack.command import STOP_SIGNALS, interrupt_on_signals, options_from_environment
from tools.stack.readiness import StackError
from tools.stack.stack import Stack
from tools.stack.startup import RESTORE_MARK

Run = Callable[[argparse.Namespace], int]
INSIDE = "/backup"  # where the container of the provisioning sees the directory


def define_backup(parser: argparse.ArgumentParser) -> Run:
    """Write a backup of the databases while the shop runs."""
    backup.add_arguments(parser)
    parser.add_argument("--compose", action="store_true", help="back up what docker compose runs, not ./dev up")
    return lambda options: (back_up_compose if options.compose else back_up)(options.directory, options.database)


def define_restore(parser: argparse.ArgumentParser) -> Run:
    """Replace the data by a backup, reconcile it, start the shop, and audit it."""
    backup.add_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace data that is there")
    lacking = parser.add_mutually_exclusive_group()
    lacking.add_argument("--send", action="store_true", help="send the mails that the history lacks (the default)")
    lacking.add_argument("--record-only", action="store_true", help="complete the history, and send nothing")
    mongodb.add_option(parser)
    return restore


def back_up(directory: Path, databases: Collection[str], state: Path = STATE) -> int:
    """Back up the databases of a running stack."""
    stack = Stack(state)
    if not stack.is_running():
        return _fail("The shop is not running. Start it with ./dev up")
    if (stack.state / RESTORE_MARK).exists():
        return _fail("The backup failed: a restore has not finished. See ./dev restore --help")
    try:
        manifest = backup.back_up(stack.administrators()["MONGO_URL"], directory, [*databases])
    except BackupError as exc:
        return _fail(f"The backup failed: {exc}")
    print(backup.summary(directory, manifest))
    return 0


def back_up_compose(directory: Path, databases: Collection[str]) -> int:
    """Back up the databases of docker compose, in a container that writes as this user."""
    try:
        backup.prepare(directory)
        return subprocess.run(compose_command(directory, databases), cwd=ROOT, check=False).returncode
    except (BackupError, OSError) as exc:
        return _fail(f"The backup failed: {exc}")


def compose_command(directory: Path, databases: Collection[str]) -> list[str]:
    """Return the command that backs up from a container with the account of the administrator."""
    run = ["docker", "compose", "run", "--rm", "-T", "--no-deps", "--user", f"{os.getuid()}:{os.getgid()}"]
    mount = ["--volume", f"{directory.resolve()}:{INSIDE}"]
    chosen = [f"--database={name}" for name in databases]
    return [*run, *mount, "provisioning", "python", "-m", "deploy.backup", INSIDE, *chosen]


def restore(options: argparse.Namespace) -> int:
    """Verify a backup, and restore it to the stack of this checkout. The exit code is 0 only if the audit passes."""
    stack = Stack(STATE, options=options_from_environment(options.mongodb))
    interrupt_on_signals()
    try:
        verified = verification.verify(options.directory, options.database)
        restoration = Restoration(stack, verified, record_only=options.record_only)
        restoration.replace_data(force=options.force)
        restoration.recover()
        print(screen.summary(stack, started=True), flush=True)
    except (BackupError, StackError) as exc:
        return _fail(f"The restore failed: {exc}")
    except KeyboardInterrupt:
        return _fail("The restore was interrupted.")
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    return 0 if restoration.audit() else 1


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
