"""Back up the databases of the shop while it runs: `python -m deploy.backup DIR`.

`MONGO_URL` is the administrator's. The directory is new or empty. Where each service has a MongoDB of its own, run it
once for each: `--database NAME`, in the order in which `--help` lists them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pymongo.errors import PyMongoError

from deploy import database
from deploy.archive import dumping
from deploy.archive.manifest import DATABASES, BackupError, Manifest
from deploy.config import BackupSettings

REPLY = 120.0  # s; a batch of a busy server may take longer than an ordinary reply


def back_up(url: str, directory: Path, databases: Sequence[str] = ()) -> Manifest:
    """Write a backup of the named databases, or of all, into a new or empty directory, and return its manifest."""
    chosen = [name for name in DATABASES if name in databases or not databases]
    try:
        prepare(directory)
        with database.connect(url, reply=REPLY) as client:
            return dumping.back_up(client, directory, chosen)
    except OSError as exc:
        raise BackupError(f"{directory} cannot be written: {exc}") from exc
    except PyMongoError as exc:
        raise BackupError(f"MongoDB could not be read: {exc!r}"[:600]) from exc


def prepare(directory: Path) -> None:
    """Make the directory, for its owner only. Raises BackupError if there is something in it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise BackupError(f"{directory} is not empty. A backup needs a directory of its own. Nothing was changed.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory and the databases to the options of a command."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the directory of the backup")
    about = f"only this database; can be repeated ({', '.join(DATABASES)})"
    parser.add_argument("--database", action="append", default=[], choices=DATABASES, metavar="NAME", help=about)


def summary(directory: Path, manifest: Manifest) -> str:
    """Return what a backup holds, and how consistent it is."""
    documents, size = sum(file.documents or 0 for file in manifest.files), sum(file.bytes for file in manifest.files)
    head = f"{directory}: {documents} documents, {size / 1e6:.1f} MB, consistency: {manifest.consistency}"
    return "\n".join([head, *(f"NOTE: {note}" for note in manifest.notes)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Back up the databases of the server that `MONGO_URL` names."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        manifest = back_up(BackupSettings.load().mongo_url, options.directory, options.database)
    except BackupError as exc:
        raise SystemExit(f"The backup failed: {exc}") from exc
    sys.stderr.write(summary(options.directory, manifest) + "\n")


if __name__ == "__main__":
    main()
