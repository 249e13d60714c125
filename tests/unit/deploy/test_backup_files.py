"""A backup on the disk: what is written, and that no restore begins with one that is not exactly as it was written."""

import gzip
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from deploy import backup, restore
from deploy.archive import files, manifest, verification
from deploy.archive.manifest import BackupError, FileRecord, Manifest

NOWHERE = "mongodb://admin:secret@127.0.0.1:1/admin"
ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
NEWEST_FIRST = {"v": 2, "key": {"created_at": -1, "_id": -1}, "name": "newest", "ns": "of an older server"}
ORDERS = [{"_id": "a", "total": 1990}, {"_id": "b", "at": datetime(2026, 1, 31, tzinfo=UTC)}]
BEGIN = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)


def describe(name: str) -> dict[str, Any]:
    return {"name": name, "type": "collection", "options": {}, "info": {"uuid": bytes(16)}}


def write_collection(directory: Path, database: str, name: str, documents: list[dict[str, Any]]) -> list[FileRecord]:
    """Write the files of a collection as a backup does."""
    (directory / database).mkdir(parents=True, exist_ok=True)
    contents = {
        files.DOCUMENTS: [bson.encode(document) for document in documents],
        files.METADATA: [files.metadata(describe(name), [ID_INDEX, NEWEST_FIRST])],
    }
    records = []
    for kind, chunks in contents.items():
        path = files.path_of(database, name, kind)
        size, sha256 = files.write(directory / path, chunks)
        number = len(documents) if kind == files.DOCUMENTS else None
        records.append(FileRecord(name=path, documents=number, bytes=size, sha256=sha256))
    return records


def write_manifest(directory: Path, records: list[FileRecord], **changes: Any) -> None:
    fields: dict[str, Any] = {
        "begin": BEGIN,
        "end": BEGIN,
        "server": "8.0.1",
        "consistency": "snapshot",
        "notes": (),
        "databases": manifest.DATABASES[:2],
        "files": tuple(records),
    }
    manifest.write(directory, Manifest(**(fields | changes)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A complete backup of two databases."""
    orders = write_collection(tmp_path, "order_service", "orders", ORDERS)
    empty = write_collection(tmp_path, "product_service", "a/b c", [])
    write_manifest(tmp_path, orders + empty)
    return tmp_path


def test_a_backup_is_read_as_it_was_written(directory: Path) -> None:
    verified = verification.verify(directory)
    orders, empty = verified.collections
    assert (orders.database, orders.name, orders.documents) == ("order_service", "orders", 2)
    assert [bson.decode(document, files.ANY_DATE)["_id"] for document in files.documents(orders.path)] == ["a", "b"]
    assert orders.indexes == [ID_INDEX, {key: value for key, value in NEWEST_FIRST.items() if key != "ns"}]
    assert (empty.database, empty.name, empty.documents) == ("product_service", "a/b c", 0)
    assert verified.databases == ("order_service", "product_service")
    assert verified.manifest.begin == BEGIN


def test_names_and_metadata_are_those_of_mongodump(directory: Path) -> None:
    assert (directory / "product_service" / "a%2Fb%20c.bson.gz").is_file()
    text = gzip.decompress((directory / "order_service" / "orders.metadata.json.gz").read_bytes()).decode()
    assert text == (
        '{"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"},'
        '{"v":{"$numberInt":"2"},"key":{"created_at":{"$numberInt":"-1"},"_id":{"$numberInt":"-1"}},"name":"newest"}],'
        '"uuid":"00000000000000000000000000000000","collectionName":"orders","type":"collection"}'
    )


def test_metadata_keeps_types_and_order_of_options(tmp_path: Path) -> None:
    options = {"capped": True, "size": Int64(4096), "collation": {"locale": "de", "strength": 2}}
    files.write(tmp_path / "m", [files.metadata({**describe("x"), "options": options}, [])])
    kept = files.read_metadata(tmp_path / "m")["options"]
    assert (list(kept), kept, type(kept["size"])) == (list(options), options, Int64)


def test_files_belong_to_their_owner_alone(directory: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "backup"
    backup.prepare(new)
    assert new.stat().st_mode & 0o777 == 0o700
    written = [path for path in directory.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def every_file() -> list[str]:
    names = (("order_service", "orders"), ("product_service", "a/b c"))
    found = [files.path_of(*name, kind) for name in names for kind in (files.DOCUMENTS, files.METADATA)]
    return [manifest.NAME, *found]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def refusal(directory: Path, *options: str) -> str:
    """Return why a restore refuses; it would fail in another way if it went as far as to open a connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONGO_URL", NOWHERE)
        patch.setattr(restore, "restore", lambda *_args, **_kwargs: pytest.fail("it writes"))
        with pytest.raises(SystemExit) as refused:
            restore.main([str(directory), *options])
    return str(refused.value)


@pytest.mark.parametrize("name", every_file())
def test_a_flipped_bit_anywhere_in_any_file_is_refused_before_anything_is_written(directory: Path, name: str) -> None:
    path = directory / name
    for position in range(path.stat().st_size):
        flip(path, position)
        with pytest.raises(BackupError):
            verification.verify(directory)
        flip(path, position)
    verification.verify(directory)
    flip(path, path.stat().st_size // 2)
    assert name in refusal(directory)


@pytest.mark.parametrize("name", every_file())
def test_a_file_that_is_cut_off_or_missing_is_refused(directory: Path, name: str) -> None:
    path = directory / name
    os.truncate(path, path.stat().st_size - 1)
    assert name in refusal(directory)
    path.unlink()
    assert name in refusal(directory)


def test_a_directory_without_a_manifest_is_no_backup(directory: Path) -> None:
    (directory / manifest.NAME).rename(directory / f".{manifest.NAME}.partial")
    assert "it has no manifest.json, which is written last" in refusal(directory)


@pytest.mark.parametrize("name", ["order_service/late.bson.gz", "order_service/sub/x", "late.txt", "user_service/u"])
def test_a_file_too_many_is_refused(directory: Path, name: str) -> None:
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).touch()
    assert f"do not belong to the backup: {name}" in refusal(directory)


def change_manifest(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the fields of a manifest, without its hash."""
    path = directory / manifest.NAME
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields, indent=2) + "\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda fields: fields.update(format=2), "has format 2; this version of the shop reads format 1"),
        (lambda fields: fields.update(begin="2026-01-30T12:00:00Z"), "its own hash does not fit"),
        (lambda fields: fields.pop("sha256"), "'sha256'"),
        (lambda fields: fields.update(databases=["admin"]), "databases.0"),
        (lambda fields: fields["files"][0].update(name="../../etc/x.bson.gz"), "files.0.name"),
        (lambda fields: fields["files"][0].update(name="/etc/x.bson.gz"), "files.0.name"),
        (lambda fields: fields["files"][0].update(name="order_service/../x.bson.gz"), "files.0.name"),
        (lambda fields: fields["files"][0].update(documents=-1), "files.0.documents"),
        (lambda fields: fields.update(surprise=1), "surprise"),
    ],
)
def test_a_changed_manifest_is_refused(directory: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    change_manifest(directory, change)
    assert reason in refusal(directory)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"null", b"{}"])
def test_a_manifest_that_is_none_is_refused(directory: Path, content: bytes) -> None:
    (directory / manifest.NAME).write_bytes(content)
    assert "manifest.json cannot be read" in refusal(directory)


@pytest.mark.parametrize("name", ["admin/x", "user_service/x"])
def test_a_file_of_a_database_that_the_backup_does_not_have_is_refused(tmp_path: Path, name: str) -> None:
    database, _, collection = name.partition("/")
    write_manifest(tmp_path, write_collection(tmp_path, database, collection, []))
    assert "or one of no database" in refusal(tmp_path)


def rewrite(directory: Path, contents: dict[str, bytes]) -> None:
    """Write a backup whose hashes are right, with these contents of its files."""
    (directory / "order_service").mkdir()
    records = []
    for kind, content in contents.items():
        path = files.path_of("order_service", "orders", kind)
        size, sha256 = files.write(directory / path, [content])
        records.append(FileRecord(name=path, documents=1 if "bson" in kind else None, bytes=size, sha256=sha256))
    write_manifest(directory, records)


GOOD = bson.encode({"_id": 1, "text": "x"})
METADATA = files.metadata(describe("orders"), [ID_INDEX])


@pytest.mark.parametrize(
    ("documents", "metadata", "reason"),
    [
        (GOOD[:-1], METADATA, "a document is cut off"),
        (GOOD + b"\1", METADATA, "there is no document of 1 bytes"),
        (GOOD + b"\0\0\0\0", METADATA, "there is no document of 0 bytes"),
        (b"\xff\xff\xff\x7f" + GOOD, METADATA, "there is no document of 2147483647 bytes"),
        (GOOD[:4] + b"\x77" + GOOD[5:], METADATA, "document 1 is not valid BSON"),
        (GOOD * 2, METADATA, "it has 2 documents, not 1"),
        (GOOD, b"{}", "cannot be read"),
        (GOOD, b"[", "cannot be read"),
        (GOOD, METADATA.replace(b'"name":"_id_"', b'"name":""'), "does not describe a collection"),
        (GOOD, METADATA.replace(b'"orders"', b'"users"'), "describes another collection, users"),
    ],
)
def test_files_with_the_right_hash_but_the_wrong_content_are_refused(
    tmp_path: Path, documents: bytes, metadata: bytes, reason: str
) -> None:
    rewrite(tmp_path, {files.DOCUMENTS: documents, files.METADATA: metadata})
    assert reason in refusal(tmp_path)


@pytest.mark.parametrize("kind", [files.DOCUMENTS, files.METADATA])
def test_documents_without_metadata_and_metadata_without_documents_are_refused(tmp_path: Path, kind: str) -> None:
    rewrite(tmp_path, {kind: GOOD if kind == files.DOCUMENTS else METADATA})
    assert re.search("no metadata|without documents", refusal(tmp_path))


def test_a_date_that_python_does_not_know_is_valid(tmp_path: Path) -> None:
    rewrite(tmp_path, {files.DOCUMENTS: bson.encode({"at": DatetimeMS(2**60)}), files.METADATA: METADATA})
    assert verification.verify(tmp_path).collections[0].documents == 1


def test_one_database_of_a_backup_is_verified_alone(directory: Path) -> None:
    flip(directory / "product_service" / "a%2Fb%20c.bson.gz", 5)
    verified = verification.verify(directory, ["order_service"])
    assert (verified.databases, len(verified.collections)) == (("order_service",), 1)
    assert "has no user_service, only order_service, product_service" in refusal(directory, "--database=user_service")


def test_a_backup_goes_into_an_empty_directory_only(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(directory.rglob("*"))
    monkeypatch.setenv("MONGO_URL", NOWHERE)
    with pytest.raises(SystemExit, match="is not empty"):
        backup.main([str(directory)])
    assert sorted(directory.rglob("*")) == before


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", NOWHERE)
    with pytest.raises(SystemExit, match="MongoDB could not be read"):
        backup.main([str(tmp_path / "new")])
    assert list((tmp_path / "new").iterdir()) == []
