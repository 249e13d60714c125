"""Replace the data of databases by a verified backup: the indexes with their options, and documents as they are."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError
from pymongo.operations import InsertOne
from pymongo.write_concern import WriteConcern

from deploy.archive import files, unfinished
from deploy.archive.consistency import Client
from deploy.archive.manifest import BackupError
from deploy.archive.verification import BackedUpCollection, Backup

BATCH_BYTES = 4 * 2**20  # of documents in one insert
RAW = CodecOptions(document_class=RawBSONDocument)
DURABLE = WriteConcern("majority", j=True)

Batch = list[InsertOne[RawBSONDocument]]


def occupied(client: Client, databases: Collection[str]) -> list[str]:
    """Return the collections that have documents which a restore would remove.

    Data that an earlier restore has left incomplete does not count.
    """
    incomplete = unfinished.incomplete(client)
    whole = [database for database in databases if database not in incomplete]
    names = [(database, name) for database in whole for name in _collections(client, database)]
    return [f"{database}.{name}" for database, name in names if client[database][name].find_one({}, {"_id": 1})]


def require_empty(client: Client, databases: Collection[str]) -> None:
    """Raise BackupError if a restore would remove documents."""
    if full := occupied(client, databases):
        raise BackupError(f"There is data in {', '.join(full)}. To replace it, use --force. Nothing was changed.")


def restore(client: Client, backup: Backup) -> None:
    """Replace the databases of a backup. Until it has finished, a mark keeps the shop from starting.

    Databases are not dropped: SecantusDB never returns from that while a transaction is open in one.
    """
    unfinished.mark(client, str(backup.directory), backup.databases)
    for database in backup.databases:
        for name in _collections(client, database):
            client[database].drop_collection(name)
    for collection in backup.collections:
        _restore(client, collection)
        sys.stderr.write(f"{collection.database}.{collection.name}: {collection.documents} documents\n")
    unfinished.clear(client, backup.databases)


def _collections(client: Client, database: str) -> Iterator[str]:
    names = client[database].list_collection_names()
    return (name for name in names if not name.startswith("system."))


def _restore(client: Client, backed_up: BackedUpCollection) -> None:
    """Create a collection with its indexes, insert its documents, and compare their number.

    SecantusDB takes minutes to build an index of 200,000 documents that are there, and seconds to insert them into one.
    The server soon deletes expired documents again. So this counts the answers, not the documents that are there.
    """
    database, name = client[backed_up.database], f"{backed_up.database}.{backed_up.name}"
    database.command({"create": backed_up.name, **backed_up.options})
    if indexes := [_ordered(index) for index in backed_up.indexes if list(index["key"]) != ["_id"]]:
        database.command({"createIndexes": backed_up.name, "indexes": indexes, "writeConcern": DURABLE.document})
    collection = database.get_collection(backed_up.name, codec_options=RAW, write_concern=DURABLE)
    inserted = 0
    for batch in _batches(files.documents(backed_up.path)):
        try:
            inserted += collection.bulk_write(batch, ordered=False, bypass_document_validation=True).inserted_count
        except BulkWriteError as exc:
            raise BackupError(f"{name}: {_first_error(exc)}") from exc
    if inserted != backed_up.documents:
        raise BackupError(f"{name} got {inserted} documents, not {backed_up.documents}")


def _ordered(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return an index with its options in the order in which the services write them.

    SecantusDB's Rust build lists them in another order, and takes the same options in another order for a conflict.
    """
    return {name: index[name] for name in sorted(index, key=lambda name: name != "expireAfterSeconds")}


def _batches(documents: Iterable[bytes]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for document in documents:
        batch.append(InsertOne(RawBSONDocument(document)))
        size += len(document)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _first_error(exc: BulkWriteError) -> str:
    errors = (exc.details or {}).get("writeErrors", [])
    texts: Iterator[Any] = (error["errmsg"] for error in errors)
    return str(next(texts, exc))[:300]
