"""The random passwords of a stack, generated once and kept in its state directory."""

import json
import os
import secrets
from pathlib import Path

from tools.services import SERVICES

NAMES = ("mongodb_admin", "mongodb_key", "rabbitmq_admin", "client_secret", *(each.package for each in SERVICES))


def load(path: Path) -> dict[str, str]:
    """Return the secrets of the file by name. Generate and store the missing ones."""
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    complete = {name: stored.get(name) or secrets.token_hex(24) for name in NAMES}
    if complete != stored:
        write_private(path, json.dumps(complete, indent=2))
    return complete


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from the first moment on."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)
