"""Backup and restore of MongoDB: one moment of all databases, everything as it was, and nothing by halves."""

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import bson
import pymongo
import pytest
from pymongo.client_session import ClientSession
from pymongo.operations import IndexModel

from deploy import backup, database, restore
from deploy.archive import consistency, dumping, unfinished, verification
from deploy.archive.manifest import DATABASES, BackupError
from tests import ephemeral_servers
from tests.at_once import meanwhile
from tests.integration import dying
from tests.waiting import until
from tools.stack.mongodb import MongoServer

SECONDS_TO_START = 60.0
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
Client = pymongo.MongoClient[dict[str, Any]]
INDEXES = [
    IndexModel([("created_at", -1), ("_id", -1)]),
    IndexModel("sku_key", unique=True, sparse=True),
    IndexModel("expires_at", expireAfterSeconds=3600, sparse=True),
    IndexModel("name", collation={"locale": "de", "strength": 2}),
    IndexModel("due", partialFilterExpression={"due": {"$gt": 0}}),
]


class Servers(NamedTuple):
    """A server that is backed up, and one that is restored to."""

    source: MongoServer
    target: MongoServer


@pytest.fixture(scope="module")
def servers(mongodb_program: str) -> Iterator[Servers]:
    """Two servers of their own, because the databases have the same names in every installation."""
    with ExitStack() as stack:
        pair = Servers(*(stack.enter_context(ephemeral_servers.mongodb(mongodb_program)) for _ in range(2)))
        for server in pair:
            database.require_primary(server.url(), SECONDS_TO_START)
        yield pair


@pytest.fixture
def source(servers: Servers) -> Iterator[Client]:
    yield from emptied(servers.source)


@pytest.fixture
def target(servers: Servers) -> Iterator[Client]:
    yield from emptied(servers.target)


def emptied(server: MongoServer) -> Iterator[Client]:
    """Yield a client of a server whose databases have no collections."""
    with Client(server.url(), tz_aware=True) as client:
        for name in (*DATABASES, *consistency.OWN_DATABASES):
            for collection in client[name].list_collection_names():
                client[name].drop_collection(collection)
        yield client


def fill(client: Client) -> None:
    """Write documents of many types, indexes of all kinds, and an empty collection."""
    products = client.product_service.products
    products.create_indexes(INDEXES)
    products.insert_many({"_id": f"p{n}", "name": f"Pot {n}", "price": bson.Int64(n), "at": NOW} for n in range(300))
    products.insert_one({"_id": {"a": 1}, "deep": [{"b": bson.Decimal128("1.10")}, None, b"x", bson.MaxKey()]})
    client.product_service.create_collection("reservations")
    client.order_service.orders.insert_many({"_id": n, "text": "x" * 1000} for n in range(5000))
    client.user_service.users.insert_one({"_id": "ada"})


def contents(client: Client, databases: Iterable[str] = DATABASES) -> dict[str, Any]:
    """Return everything in the databases: documents as BSON, options and indexes of the collections."""
    found: dict[str, Any] = {}
    for name in databases:
        for info in client[name].list_collections():
            collection = client[name][info["name"]]
            documents = sorted(bson.encode(document) for document in collection.find())
            indexes = {
                index["name"]: {**index, "key": list(index["key"].items())} for index in collection.list_indexes()
            }
            for index in indexes.values():
                index.pop("ns", None)
            found[f"{name}.{info['name']}"] = (documents, indexes, info["options"])
    return found


def test_a_restore_brings_back_every_document_and_every_index(
    source: Client, target: Client, servers: Servers, tmp_path: Path
) -> None:
    fill(source)
    manifest = backup.back_up(servers.source.url(), tmp_path / "backup")
    restore.restore(servers.target.url(), verification.verify(tmp_path / "backup"), force=False)
    assert contents(target) == contents(source)
    target.product_service.products.create_indexes(INDEXES)  # as a service does at its start
    assert {record.name: record.documents for record in manifest.files if record.documents is not None} == {
        "order_service/orders.bson.gz": 5000,
        "product_service/products.bson.gz": 301,
        "product_service/reservations.bson.gz": 0,
        "user_service/users.bson.gz": 1,
    }
    with gzip.open(tmp_path / "backup" / "product_service" / "products.bson.gz") as file:
        assert len(list(bson.decode_file_iter(file))) == 301


def test_a_restore_without_force_refuses_data_and_changes_nothing(
    source: Client, target: Client, servers: Servers, tmp_path: Path
) -> None:
    fill(source)
    target.notification_service.notifications.insert_one({"_id": "mine"})
    before = contents(target)
    backup.back_up(servers.source.url(), tmp_path / "backup")
    verified = verification.verify(tmp_path / "backup")
    with pytest.raises(BackupError, match=r"data in notification_service\.notifications\. .* use --force"):
        restore.restore(servers.target.url(), verified, force=False)
    assert contents(target) == before
    restore.restore(servers.target.url(), verified, force=True)
    assert contents(target) == contents(source)
    assert "notification_service.notifications" not in contents(target)


def test_one_database_is_restored_alone(source: Client, target: Client, servers: Servers, tmp_path: Path) -> None:
    fill(source)
    target.order_service.orders.insert_one({"_id": "newer"})
    backup.back_up(servers.source.url(), tmp_path / "backup")
    restore.restore(servers.target.url(), verification.verify(tmp_path / "backup", ["product_service"]), force=False)
    assert contents(target, ["product_service"]) == contents(source, ["product_service"])
    assert target.order_service.orders.find_one() == {"_id": "newer"}
    assert target.user_service.list_collection_names() == []


def test_a_backup_of_one_database_holds_nothing_else(source: Client, servers: Servers, tmp_path: Path) -> None:
    fill(source)
    manifest = backup.back_up(servers.source.url(), tmp_path / "backup", ["user_service"])
    assert manifest.databases == ("user_service",)
    assert [path.name for path in sorted((tmp_path / "backup").iterdir())] == ["manifest.json", "user_service"]


def place_orders(client: Client, stop: threading.Event) -> None:
    """Write a reservation, then its order, one pair after the other."""
    for number in count():
        if stop.is_set():
            return
        client.product_service.reservations.insert_one({"_id": number})
        client.order_service.orders.insert_one({"_id": number})


def numbers(verified: verification.Backup) -> dict[str, set[int]]:
    return {each.name: set(ids(each.path)) for each in verified.collections}


def ids(path: Path) -> Iterator[int]:
    with gzip.open(path) as file:
        yield from (document["_id"] for document in bson.decode_file_iter(file))


@pytest.fixture
def busy(source: Client) -> Iterator[Client]:
    """The source, with enough old orders that a dump takes its time, and somebody who places new ones."""
    old = [{"_id": -number, "text": "x" * 1000} for number in range(1, 5001)]
    source.order_service.orders.insert_many(old)
    source.product_service.reservations.insert_many(old)
    stop = threading.Event()
    with meanwhile(lambda: place_orders(source, stop), stop=stop):
        until(lambda: source.order_service.orders.find_one({"_id": 5}), "orders are placed")
        yield source


def test_a_backup_of_a_busy_shop_shows_all_databases_at_one_moment(
    busy: Client, servers: Servers, tmp_path: Path
) -> None:
    manifest = backup.back_up(servers.source.url(), tmp_path / "backup")
    assert manifest.consistency == ("snapshot" if servers.source.is_mongod else "transaction")
    found = numbers(verification.verify(tmp_path / "backup"))
    newest = max(found["orders"])
    until(lambda: busy.order_service.orders.find_one({"_id": newest + 5}), "the shop was busy")
    assert found["orders"] <= found["reservations"]
    assert len(found["reservations"]) - len(found["orders"]) <= 1


def test_the_canaries_are_removed_and_their_databases_stay(source: Client, servers: Servers, tmp_path: Path) -> None:
    backup.back_up(servers.source.url(), tmp_path / "backup")
    for name in consistency.OWN_DATABASES:
        assert source[name].canaries.count_documents({}) == 0


def test_a_session_that_does_not_hold_still_is_found_out(servers: Servers) -> None:
    """SecantusDB accepts a snapshot session and ignores it; a session without a transaction isolates nowhere."""
    with Client(servers.source.url()) as client, client.start_session() as session:
        canary = consistency.Canary(client)
        canary.plant()
        canary.see(session)
        canary.change()
        with pytest.raises(consistency.NotIsolated):
            canary.see(session)
        canary.remove()


Batches = Callable[[Any, ClientSession | None], Iterable[bytes]]


def ended_by_the_server(batches: Batches) -> Batches:
    """Return a way to read collections during which the server ends every session's view after the first one."""
    seen: list[str] = []

    def read(collection: Any, session: ClientSession | None) -> Iterable[bytes]:
        seen.append(collection.name)
        if session and len(seen) == 2:
            transaction = {"lsid": session.session_id, "txnNumber": session._transaction_id, "autocommit": False}
            collection.database.client.admin.command({"abortTransaction": 1, **transaction})
        return batches(collection, session)

    return read


def test_a_transaction_that_ends_too_early_is_replaced_by_an_ordered_dump_with_a_note(
    busy: Client, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if servers.source.is_mongod:
        pytest.skip("uses a snapshot session, which nobody can end")
    monkeypatch.setattr(dumping, "_batches", ended_by_the_server(dumping._batches))
    manifest = backup.back_up(servers.source.url(), tmp_path / "backup")
    assert manifest.consistency == "ordered"
    assert [note.split(":")[0] for note in manifest.notes] == ["not as a snapshot", "not as a transaction"]
    found = numbers(verification.verify(tmp_path / "backup"))
    assert found["orders"] <= found["reservations"]


def back_up_to(directory: Path, url: str) -> None:
    backup.back_up(url, directory)


def test_a_killed_backup_is_none(source: Client, servers: Servers, tmp_path: Path) -> None:
    fill(source)
    dying.start_server()
    dying.run(back_up_to, tmp_path / "backup", servers.source.url(), point="before deploy.archive.manifest:write")
    assert list((tmp_path / "backup").rglob("*.bson.gz"))
    with pytest.raises(BackupError, match=r"is no complete backup: it has no manifest\.json"):
        verification.verify(tmp_path / "backup")


def restore_from(directory: Path, url: str) -> None:
    restore.restore(url, verification.verify(directory), force=True)


def test_a_killed_restore_leaves_a_mark_until_it_is_repeated(
    source: Client, target: Client, servers: Servers, tmp_path: Path
) -> None:
    fill(source)
    target.order_service.orders.insert_one({"_id": "old"})
    backup.back_up(servers.source.url(), tmp_path / "backup")
    url = servers.target.url()
    dying.start_server()
    dying.run(restore_from, tmp_path / "backup", url, point="after deploy.archive.restoring:_restore")
    assert contents(target) != contents(source)
    with pytest.raises(SystemExit, match=f"The restore of {tmp_path / 'backup'} into this MongoDB did not finish"):
        unfinished.require_none(url)
    restore.restore(url, verification.verify(tmp_path / "backup"), force=False)
    unfinished.require_none(url)
    assert contents(target) == contents(source)


def test_a_restore_of_other_databases_neither_replaces_data_unasked_nor_completes_the_unfinished_one(
    source: Client, target: Client, servers: Servers, tmp_path: Path
) -> None:
    fill(source)
    backup.back_up(servers.source.url(), tmp_path / "backup")
    target.order_service.orders.insert_one({"_id": "old"})
    unfinished.mark(target, "elsewhere", ["product_service"])
    orders = verification.verify(tmp_path / "backup", ["order_service"])
    with pytest.raises(BackupError, match=r"There is data in order_service\.orders"):
        restore.restore(servers.target.url(), orders, force=False)
    restore.restore(servers.target.url(), orders, force=True)
    assert unfinished.incomplete(target) == ["product_service"]
    with pytest.raises(BackupError, match="the data of product_service is incomplete"):
        backup.back_up(servers.target.url(), tmp_path / "another")
    products = verification.verify(tmp_path / "backup", ["product_service"])
    restore.restore(servers.target.url(), products, force=False)
    assert unfinished.incomplete(target) == []


def test_data_that_a_restore_has_replaced_meanwhile_is_no_backup(
    source: Client, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source)
    dump = dumping._dump_best

    def interrupted(*arguments: Any) -> Any:
        unfinished.mark(source, "elsewhere", ["order_service"])
        unfinished.clear(source, ["order_service"])
        return dump(*arguments)

    monkeypatch.setattr(dumping, "_dump_best", interrupted)
    with pytest.raises(BackupError, match="The data was replaced by a restore meanwhile"):
        backup.back_up(servers.source.url(), tmp_path / "backup")
    assert not list((tmp_path / "backup").iterdir())


def test_a_view_is_refused_rather_than_left_out(source: Client, servers: Servers, tmp_path: Path) -> None:
    source.order_service.create_collection("newest", viewOn="orders", pipeline=[])
    with pytest.raises(BackupError, match=r"order_service\.newest is a view, which this backup cannot hold"):
        backup.back_up(servers.source.url(), tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []
