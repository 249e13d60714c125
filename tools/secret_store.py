"""The random passwords of a stack, made once and kept in its state directory."""

import json
import os
import secrets
from pathlib import Path

SERVICES = ("user_service", "product_service", "order_service", "notification_service")
NAMES = ("mongodb_admin", "mongodb_key", "rabbitmq_admin", "client_secret", *SERVICES)


def load(path: Path) -> dict[str, str]:
    """Return the secrets of the file by name, making those that it does not have yet."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    chosen = {name: known.get(name) or secrets.token_hex(24) for name in NAMES}
    if chosen != known:
        write_private(path, json.dumps(chosen, indent=2))
    return chosen


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first moment on."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)
