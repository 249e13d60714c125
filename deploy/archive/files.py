"""The files of one collection, named and written as `mongodump --gzip` does: documents (BSON) and metadata (JSON)."""

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.json_util import CANONICAL_JSON_OPTIONS

from deploy.archive.manifest import BackupError

DOCUMENTS, METADATA = ".bson.gz", ".metadata.json.gz"
# Level 1 halves the time of a backup, which must fit into the life of a transaction; files get about a fifth larger.
COMPRESSION_LEVEL = 1
SMALLEST = 5  # bytes of an empty document
LARGEST = 16 * 2**20 + 16 * 1024  # bytes of a document, as MongoDB's own tools accept it
ANY_DATE: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


def path_of(database: str, collection: str, kind: str) -> str:
    """Return the name of a file within the backup. A character that a file name may lack is escaped."""
    return f"{database}/{quote(collection, safe='')}{kind}"


class _Hashed:
    """Passes on what is written to a file, and keeps its size and hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        self._sha256.update(chunk)
        self.size += len(chunk)
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def write(path: Path, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Write a new compressed file that only its owner may read. Return its size in bytes and its SHA-256."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        hashed = _Hashed(file)
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, hashed, mtime=0) as packed:
            for chunk in chunks:
                packed.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return hashed.size, hashed.hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count(batch: bytes) -> int:
    """Return the number of documents in a sequence of BSON documents."""
    position = number = 0
    while position < len(batch):
        position += struct.unpack_from("<i", batch, position)[0]
        number += 1
    return number


def documents(path: Path) -> Iterator[bytes]:
    """Yield the documents of a file one by one, as they are. Raises BackupError if it is no sequence of BSON."""
    try:
        with gzip.open(path, "rb") as file:
            while start := file.read(4):
                length = int.from_bytes(start, "little")
                if not SMALLEST <= length <= LARGEST:
                    raise BackupError(f"{path} is damaged: there is no document of {length} bytes")
                document = start + file.read(length - 4)
                if len(document) != length or document[-1]:
                    raise BackupError(f"{path} is damaged: a document is cut off")
                yield document
    except (OSError, EOFError, zlib.error) as exc:
        raise BackupError(f"{path} cannot be read: {exc}") from exc


def check_documents(path: Path) -> int:
    """Return the number of documents of a file. Raises BackupError if one of them is not valid BSON."""
    number = 0
    for document in documents(path):
        try:
            bson.decode(document, ANY_DATE)
        except BSONError as exc:
            raise BackupError(f"{path} is damaged: document {number + 1} is not valid BSON: {exc}") from exc
        number += 1
    return number


def metadata(info: Mapping[str, Any], indexes: Iterable[Mapping[str, Any]]) -> bytes:
    """Return mongodump's metadata of a collection, from the server's own description of it and of its indexes."""
    options = {"options": info["options"]} if info["options"] else {}
    described = {
        **options,
        "indexes": [{key: value for key, value in index.items() if key != "ns"} for index in indexes],
        "uuid": bytes(info["info"]["uuid"]).hex(),
        "collectionName": info["name"],
        "type": info["type"],
    }
    text = json_util.dumps(described, json_options=CANONICAL_JSON_OPTIONS, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a collection. Raises BackupError if a restore could not use it."""
    try:
        with gzip.open(path, "rb") as file:
            described = json_util.loads(file.read(), json_options=CANONICAL_JSON_OPTIONS)
        usable = isinstance(described["collectionName"], str) and isinstance(described.get("options", {}), dict)
        usable = usable and all(index["key"] and index["name"] for index in described["indexes"])
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError) as exc:
        raise BackupError(f"{path} cannot be read: {exc!r}"[:300]) from exc
    if not usable:
        raise BackupError(f"{path} does not describe a collection")
    return dict(described)
