"""Verify a backup before anything is written: every file is there, unchanged, readable, and none is there beside."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.archive import files, manifest
from deploy.archive.manifest import BackupError, FileRecord, Manifest


@dataclass(frozen=True)
class BackedUpCollection:
    """A collection of a verified backup."""

    database: str
    name: str
    documents: int
    path: Path
    options: Mapping[str, Any]
    indexes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Backup:
    """A verified backup, or the part of it that was asked for."""

    directory: Path
    manifest: Manifest
    databases: tuple[str, ...]
    collections: tuple[BackedUpCollection, ...]


def verify(directory: Path, databases: Collection[str] = ()) -> Backup:
    """Return the backup in a directory, limited to some of its databases if these are named.

    Raises BackupError, which names the first fault.
    """
    stated = _read_manifest(directory)
    if missing := set(databases) - set(stated.databases):
        raise BackupError(f"{directory} has no {', '.join(sorted(missing))}, only {', '.join(stated.databases)}")
    chosen = tuple(name for name in stated.databases if name in databases or not databases)
    records = {record.name: record for record in stated.files if record.name.partition("/")[0] in chosen}
    _check_names(directory, stated, records)
    for record in records.values():
        _check_hash(directory, record)
    dumps = [name for name in records if name.endswith(files.DOCUMENTS)]
    collections = tuple(_read(directory, name, records) for name in dumps)
    if len(collections) * 2 != len(records):
        raise BackupError(f"{directory / manifest.NAME} has metadata without documents")
    return Backup(directory, stated, chosen, collections)


def _read_manifest(directory: Path) -> Manifest:
    path = directory / manifest.NAME
    if not path.is_file():
        raise BackupError(f"{directory} is no complete backup: it has no {manifest.NAME}, which is written last")
    return Manifest.parse(path.read_bytes())


def _check_names(directory: Path, stated: Manifest, records: Mapping[str, FileRecord]) -> None:
    """Compare the names with what is there. A file too many or too few may be of another backup."""
    names = [record.name for record in stated.files]
    if len(set(names)) != len(names) or {name.partition("/")[0] for name in names} - set(stated.databases):
        raise BackupError(f"{directory / manifest.NAME} names a file twice, or one of no database")
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    if missing := set(records) - there:
        raise BackupError(f"{directory} lacks {', '.join(sorted(missing))}")
    if extra := there - set(names) - {manifest.NAME}:
        raise BackupError(f"{directory} has files that do not belong to the backup: {', '.join(sorted(extra))}")


def _check_hash(directory: Path, record: FileRecord) -> None:
    path = directory / record.name
    if path.stat().st_size != record.bytes or files.sha256(path) != record.sha256:
        raise BackupError(f"{path} is damaged: it differs from the file of the backup (size, SHA-256)")


def _read(directory: Path, name: str, records: Mapping[str, FileRecord]) -> BackedUpCollection:
    path, described_in = directory / name, name.removesuffix(files.DOCUMENTS) + files.METADATA
    if described_in not in records:
        raise BackupError(f"{path} has no metadata in the backup")
    described = files.read_metadata(directory / described_in)
    database, collection = name.partition("/")[0], described["collectionName"]
    if files.path_of(database, collection, files.DOCUMENTS) != name:
        raise BackupError(f"{directory / described_in} describes another collection, {collection}")
    if (number := files.check_documents(path)) != records[name].documents:
        raise BackupError(f"{path} is damaged: it has {number} documents, not {records[name].documents}")
    options, indexes = described.get("options", {}), described["indexes"]
    return BackedUpCollection(database, collection, number, path, options, indexes)
