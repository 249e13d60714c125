"""Replace the data of the shop by that of a backup: `python -m deploy.restore DIR [--force]`.

`MONGO_URL` is the administrator's. No service may run meanwhile. Afterwards the data must be reconciled, see
docs/backup.md.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pymongo.errors import PyMongoError

from deploy import database
from deploy.archive import restoring, verification
from deploy.archive.consistency import Client
from deploy.archive.manifest import BackupError
from deploy.archive.verification import Backup
from deploy.backup import add_arguments
from deploy.config import BackupSettings

REPLY = 900.0  # s; the server answers only after it has built the indexes of a collection
SECONDS_TO_START = 120.0


def restore(url: str, backup: Backup, *, force: bool) -> None:
    """Replace the databases of a verified backup. Without `force`, refuse where there is any data."""
    with _connected(url) as client:
        if not force:
            restoring.require_empty(client, backup.databases)
        restoring.restore(client, backup)


def require_empty(url: str, backup: Backup) -> None:
    """Raise BackupError if a restore would remove documents."""
    with _connected(url) as client:
        restoring.require_empty(client, backup.databases)


@contextmanager
def _connected(url: str) -> Iterator[Client]:
    """Connect to a server that may still be starting. Raises BackupError if it does not do what is asked."""
    database.require_primary(url, SECONDS_TO_START)
    try:
        with database.connect(url, reply=REPLY) as client:
            yield client
    except PyMongoError as exc:
        raise BackupError(f"MongoDB does not do what a restore needs: {exc!r}"[:600]) from exc


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify a backup, then restore it to the server that `MONGO_URL` names."""
    parser = argparse.ArgumentParser(prog="python -m deploy.restore", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace data that is there")
    options = parser.parse_args(arguments)
    url = BackupSettings.load().mongo_url
    try:
        verified = verification.verify(options.directory, options.database)
        restore(url, verified, force=options.force)
    except BackupError as exc:
        raise SystemExit(f"The restore failed: {exc}") from exc
    sys.stderr.write(
        f"Restored {', '.join(verified.databases)} as of {verified.manifest.begin:%Y-%m-%d %H:%M:%S} UTC.\n"
    )


if __name__ == "__main__":
    main()
