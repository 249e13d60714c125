"""Run the recovery commands of the services after a restore, with the settings that the stack gives to its programs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from deploy.archive.manifest import BackupError
from tools.paths import ROOT
from tools.stack.stack import Stack

SECONDS = 1800.0  # for one command, even of a large shop
QUIET = {"LOG_LEVEL": "ERROR"}
SHOWN = 20  # matters; the file has them all


def end_tokens(stack: Stack) -> str:
    """Make every token of before void; return the report."""
    return _run("user_service.recovery", stack.environment("user-service")).stdout


def empty_queues(stack: Stack, dead_letters: Path) -> str:
    """Empty the queues of the notifications, and keep their dead letters in a file; return how many there were."""
    variables = {"ENVIRONMENT": "development", "RABBITMQ_URL": stack.administrators()["RABBITMQ_URL"]}
    with _private(dead_letters) as file:
        return _run("deploy.purge", os.environ | variables, stdout=file).stderr.strip()


def reconcile(stack: Stack, decisions: Path, *, record_only: bool) -> str:
    """Bring orders, stock, events and payments together; keep what a person must decide in a file. Return a summary."""
    mode = "--record-only" if record_only else "--send"
    history = stack.state / "run" / "history.jsonl"
    with _private(history) as file:
        _run("notification_service.audit", stack.environment("notification-consumer") | QUIET, stdout=file)
    with history.open() as source, _private(decisions) as file:
        variables = stack.environment("order-service") | QUIET
        done = _run("order_service.recovery", variables, mode, stdin=source, stdout=file)
    history.unlink()
    return done.stderr.strip()


def matters(folder: Path) -> str:
    """Return what a person must decide after a restore, and where all of it is."""
    decisions, dead_letters = folder / "decisions.jsonl", folder / "dead-letters.jsonl"
    lines = [f"DECIDE: {line}" for line in decisions.read_text().splitlines()]
    shown = lines[:SHOWN] + ([f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
    if lines:
        shown.append(f"{len(lines)} matters for a person to decide; all are in {decisions}")
    if dead_letters.stat().st_size:
        shown.append(f"The dead letters of before are in {dead_letters}")
    return "\n".join(shown or ["There is nothing for a person to decide."])


def _private(path: Path) -> IO[str]:
    """Open a new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")


def _run(
    module: str,
    variables: Mapping[str, str],
    *arguments: str,
    stdin: IO[str] | None = None,
    stdout: IO[str] | int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a module. Raises BackupError, with what it says, if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    source = stdin or subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, stdin=source, stdout=stdout, stderr=subprocess.PIPE, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BackupError(f"{module} failed: {exc}") from exc
    if done.returncode:
        raise BackupError(f"{module} failed: {done.stderr.strip()}")
    return done
