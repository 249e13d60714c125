"""Which version was measured, on what: without that no figure can be compared."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.shops import Target
from tools.stack.mongodb import FAST_STAND_IN, STAND_IN

WRITTEN_BY_THE_BENCH = (":!bench/results", ":!docs/performance.md")


def of(shop: Target, checkouts: list[Path]) -> dict[str, Any]:
    """Return the versions, the database and the machine of a run."""
    kind = "mongo-url" if os.environ.get("MONGO_URL") else shop.stack.servers()["MongoDB"].server
    return {
        "version": " beside ".join(map(version, checkouts)),
        "date": datetime.now(UTC).date().isoformat(),
        "database": kind,
        "database_version": _server_version(kind, shop),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def version(checkout: Path) -> str:
    """Return what git calls a checkout, `-dirty` if more is changed in it than what the bench itself writes."""
    git = ["git", "-C", str(checkout)]
    name = subprocess.run([*git, "describe", "--always"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", *WRITTEN_BY_THE_BENCH], capture_output=True)
    return f"{name}-dirty" if name and changed.returncode else name or "unknown"


def _server_version(kind: str, shop: Target) -> str:
    """Return the version of the server program: a SecantusDB tells clients that of the MongoDB that it imitates."""
    if kind == STAND_IN:
        return metadata.version("SecantusDB")
    if kind == FAST_STAND_IN:
        return subprocess.check_output([shop.stack.programs()["mongodb"][0], "--version"], text=True).split()[1]
    return str(shop.client.admin.command("buildInfo")["version"])
