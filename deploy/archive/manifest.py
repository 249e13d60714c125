"""The manifest of a backup: what it holds, of which moment, and the hash of every file. It is written last.

The manifest has a hash of its own. A directory without a manifest, or with a changed one, is no backup.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

NAME = "manifest.json"
FORMAT = 1

DatabaseName = Literal["order_service", "product_service", "notification_service", "user_service"]
# In the order of the dump: an order is read before its reservation, so the backup has the stock that the order holds.
DATABASES: tuple[DatabaseName, ...] = get_args(DatabaseName)

Consistency = Literal["snapshot", "transaction", "ordered"]
# No "/" in the second part, so a name leads nowhere but into the folder of its database.
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z_]+/[A-Za-z0-9_.%~-]+\.(bson|metadata\.json)\.gz$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BackupError(Exception):
    """A backup cannot be made, read or restored. The message names the reason."""


class FileRecord(BaseModel):
    """One file of a backup, as it is on the disk; metadata has no documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FileName
    documents: Annotated[int, Field(ge=0)] | None = None
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Manifest(BaseModel):
    """A whole backup. `begin` and `end` are the server's time; `notes` say why it is not more consistent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    begin: AwareDatetime
    end: AwareDatetime
    server: str
    consistency: Consistency
    notes: tuple[str, ...]
    databases: tuple[DatabaseName, ...]
    files: tuple[FileRecord, ...]

    def render(self) -> str:
        """Return the text of the manifest, the hash of everything else included."""
        fields = self.model_dump(mode="json")
        own_hash = hashlib.sha256(json.dumps(fields).encode()).hexdigest()
        return json.dumps({**fields, "sha256": own_hash}, indent=2) + "\n"

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """Return the manifest of a file. Raises BackupError for every text that `render` would not have made."""
        try:
            fields = json.loads(content)
            if (version := fields["format"]) != FORMAT:
                raise BackupError(f"{NAME} has format {version!r}; this version of the shop reads format {FORMAT}")
            fields.pop("sha256")
            manifest = cls.model_validate(fields)
        except (ValueError, KeyError, TypeError) as exc:
            raise BackupError(f"{NAME} cannot be read: {_reason(exc)}") from exc
        if manifest.render().encode() != content:
            raise BackupError(f"{NAME} was changed after the backup: its own hash does not fit")
        return manifest


def _reason(exc: Exception) -> str:
    if not isinstance(exc, ValidationError):
        return repr(exc)[:200]
    first = exc.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest: it is there completely or not at all, even if the machine fails."""
    partial = directory / f".{NAME}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(manifest.render().encode())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(directory / NAME)
    sync(directory)


def sync(directory: Path) -> None:
    """Write the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
