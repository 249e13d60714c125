"""The version that a run measures, the database and the hardware. Results compare only within one environment."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.bench.targets import EXTERNAL_SERVERS, Target
from tools.stack import mongodb


def describe(shop: Target, database: str, checkouts: list[Path]) -> dict[str, Any]:
    """Return the versions, the database and the hardware of a run; `database` is a server program's name or path."""
    name, version = Path(database).name, str(shop.mongodb.server_info()["version"])
    if EXTERNAL_SERVERS["mongo_url"]:
        name = "mongo-url"
    elif name == mongodb.STAND_IN:  # SecantusDB reports the version of the MongoDB that it imitates
        version = metadata.version("SecantusDB")
    elif name == mongodb.FAST_STAND_IN:
        version = _output(str(mongodb.find(database)), "--version").split()[1]
    return {
        "version": " beside ".join(map(git_version, checkouts)),
        "date": datetime.now(UTC).date().isoformat(),
        "database": name,
        "database_version": version,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def git_version(checkout: Path) -> str:
    """Return the commit of a checkout, with `-dirty` where a file is changed; `unknown` without git."""
    return _output("git", "-C", str(checkout), "describe", "--always", "--dirty") or "unknown"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
