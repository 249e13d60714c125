"""Dump databases into a directory. Documents pass as they are, batch by batch, so memory does not grow with them."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from deploy.archive import consistency, files, manifest, unfinished
from deploy.archive.consistency import Client
from deploy.archive.manifest import BackupError, Consistency, DatabaseName, FileRecord, Manifest

UNAUTHORIZED = (13, 18)  # the server's error codes: another way to read does not help
BATCH = 10_000  # documents; a reply holds at most 16 MiB


def back_up(client: Client, directory: Path, databases: Sequence[DatabaseName]) -> Manifest:
    """Write a backup into an empty directory and return its manifest. On an error nothing is left there."""
    begin, restores = _now(client), _require_whole(client)
    records, mode, notes = _dump_best(client, directory, databases)
    if _require_whole(client) != restores:
        _discard(directory, databases)
        raise BackupError("The data was replaced by a restore meanwhile. Back up again.")
    backup = Manifest(
        begin=begin,
        end=_now(client),
        server=client.server_info()["version"],
        consistency=mode,
        notes=tuple(notes),
        databases=tuple(databases),
        files=tuple(records),
    )
    manifest.write(directory, backup)
    return backup


def _require_whole(client: Client) -> int:
    """Return how many restores there were. Raises BackupError if one did not finish."""
    if databases := unfinished.incomplete(client):
        raise BackupError(f"A restore has not finished: the data of {', '.join(databases)} is incomplete.")
    return unfinished.restores(client)


def _dump_best(
    client: Client, directory: Path, databases: Sequence[str]
) -> tuple[list[FileRecord], Consistency, list[str]]:
    """Dump in the best way that works; return the files, the way, and why each better one does not work."""
    notes: list[str] = []
    for mode in (consistency.SNAPSHOT, consistency.TRANSACTION):
        try:
            return _dump(client, directory, databases, mode), mode, notes
        except (OperationFailure, consistency.NotIsolated) as exc:
            if getattr(exc, "code", None) in UNAUTHORIZED:
                raise
            notes.append(f"not as a {mode}: {exc}"[:300])
    return _dump(client, directory, databases, consistency.ORDERED), consistency.ORDERED, notes


def _now(client: Client) -> datetime:
    """Return the server's time."""
    now: datetime = client.admin.command("hello")["localTime"]
    return now.replace(tzinfo=UTC)


def _dump(client: Client, directory: Path, databases: Sequence[str], mode: Consistency) -> list[FileRecord]:
    try:
        with consistency.view(client, mode) as session:
            return [record for name in databases for record in _dump_database(client, directory, name, session)]
    except BaseException:
        _discard(directory, databases)
        raise


def _discard(directory: Path, databases: Sequence[str]) -> None:
    for name in databases:
        shutil.rmtree(directory / name, ignore_errors=True)


def _dump_database(client: Client, directory: Path, name: str, session: ClientSession | None) -> Iterator[FileRecord]:
    """Write the collections of a database. They are listed after the session's moment, so none of it is missed."""
    (directory / name).mkdir(mode=0o700)
    for info in sorted(client[name].list_collections(), key=lambda info: info["name"]):
        if not info["name"].startswith("system."):
            yield from _dump_collection(client[name][info["name"]], info, directory, session)
    manifest.sync(directory / name)


def _dump_collection(
    collection: Collection[dict[str, Any]], info: Mapping[str, Any], directory: Path, session: ClientSession | None
) -> Iterator[FileRecord]:
    database, name = collection.database.name, collection.name
    if info["type"] != "collection":
        raise BackupError(f"{database}.{name} is a {info['type']}, which this backup cannot hold. Use mongodump.")
    batches = _Counted(_batches(collection, session))
    path = files.path_of(database, name, files.DOCUMENTS)
    size, sha256 = files.write(directory / path, batches)
    sys.stderr.write(f"{database}.{name}: {batches.documents} documents\n")
    yield FileRecord(name=path, documents=batches.documents, bytes=size, sha256=sha256)
    path = files.path_of(database, name, files.METADATA)
    size, sha256 = files.write(directory / path, [files.metadata(info, collection.list_indexes())])
    yield FileRecord(name=path, bytes=size, sha256=sha256)


def _batches(collection: Collection[dict[str, Any]], session: ClientSession | None) -> Iterable[bytes]:
    """Read a collection. Without a session in the order of the ids, so no document is read twice when it moves."""
    if session:
        return cast(Iterable[bytes], collection.find_raw_batches(session=session, batch_size=BATCH))
    majority = collection.with_options(read_concern=ReadConcern("majority"))
    return cast(Iterable[bytes], majority.find_raw_batches(hint={"_id": 1}, batch_size=BATCH))


class _Counted:
    """Counts the documents of the batches that it passes on."""

    def __init__(self, batches: Iterable[bytes]) -> None:
        self._batches = batches
        self.documents = 0

    def __iter__(self) -> Iterator[bytes]:
        for batch in self._batches:
            self.documents += files.count(batch)
            yield batch
