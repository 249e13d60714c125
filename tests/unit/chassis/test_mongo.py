"""Outages become Unavailable, a broken connection is tried once more, and one clock rules."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import mongomock
import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ClientBulkWriteException,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from chassis import mongo
from chassis.errors import Invalid, Misconfigured, Unavailable
from chassis.mongo import ASCENDING, DESCENDING, DatabaseClock, find_page, missing_feature, retry_and_translate


@retry_and_translate
class Store:
    """A store whose only method raises the given failures first."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.runs = 0

    def read(self, key: str) -> str:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)
        return f"value of {key}"

    def _inner(self) -> None:
        raise AutoReconnect


def labelled(label: str) -> PyMongoError:
    return OperationFailure("failed", 1, {"errorLabels": [label]})


def test_a_store_that_works_is_called_once() -> None:
    store = Store()
    assert (store.read("a"), store.runs) == ("value of a", 1)


@pytest.mark.parametrize("broken", [AutoReconnect("connection closed"), NotPrimaryError("stepping down")])
def test_a_call_whose_connection_broke_is_run_once_more(broken: Exception) -> None:
    store = Store(broken)
    assert (store.read("a"), store.runs) == ("value of a", 2)


def test_a_second_broken_connection_is_an_outage() -> None:
    store = Store(AutoReconnect(), AutoReconnect())
    with pytest.raises(Unavailable) as refused:
        store.read("a")
    assert (refused.value.detail, refused.value.headers, store.runs) == (
        "The database does not answer.",
        {"Retry-After": "2"},
        2,
    )


@pytest.mark.parametrize("slow", [NetworkTimeout("slow"), ServerSelectionTimeoutError("no server")])
def test_a_call_that_timed_out_is_not_run_again(slow: Exception) -> None:
    store = Store(slow)
    with pytest.raises(Unavailable):
        store.read("a")
    assert store.runs == 1


@pytest.mark.parametrize(
    "outage",
    [
        ExecutionTimeout("slow", 50),
        WTimeoutError("slow", 64, {}),
        labelled("TransientTransactionError"),
        labelled("RetryableWriteError"),
        *(OperationFailure("changing", code) for code in (24, 91, 189, 262, 365, 10107, 11600, 11602, 13435, 13436)),
        *(OperationFailure("a member is lost", code) for code in (6, 7, 43, 89, 134, 9001)),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 189, "errmsg": "stepping down"}]}),
        BulkWriteError({"writeErrors": [{"code": 11000}, {"code": 11602}], "writeConcernErrors": []}),
        labelled("SystemOverloadedError"),
    ],
    ids=lambda outage: f"{type(outage).__name__}-{outage.code}",
)
def test_an_outage_is_unavailable_and_keeps_its_cause(outage: Exception) -> None:
    with pytest.raises(Unavailable) as refused:
        Store(outage).read("a")
    assert refused.value.__cause__ is outage


@pytest.mark.parametrize(
    "mistake",
    [
        DuplicateKeyError("taken", 11000),
        OperationFailure("bad query", 2),
        BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": []}),
        ValueError("not the database's"),
    ],
)
def test_a_programming_error_is_not_translated(mistake: Exception) -> None:
    store = Store(mistake)
    with pytest.raises(type(mistake)):
        store.read("a")
    assert store.runs == 1


@pytest.mark.parametrize("code", [13, 18])
def test_an_account_that_the_database_refuses_is_no_outage_that_ends(code: int) -> None:
    with pytest.raises(Misconfigured, match="refuses the account of MONGO_URL .* run the provisioning"):
        Store(OperationFailure("no", code)).read("a")


def test_a_transaction_that_the_driver_gave_up_is_not_run_again() -> None:
    broken = AutoReconnect("connection closed", {"errorLabels": ["TransientTransactionError"]})
    store = Store(broken)
    with pytest.raises(Unavailable):
        store.read("a")
    assert store.runs == 1


def test_inner_methods_are_left_alone() -> None:
    with pytest.raises(AutoReconnect):
        Store()._inner()


class BulkWritten(NamedTuple):
    matched_count: int


class FakeServer:
    """A server with a clock of its own, two hours ahead, that can be taken away."""

    def __init__(self) -> None:
        self.client = self
        self.admin = self
        self.away = False
        self.calls = 0
        self.ahead = timedelta(hours=2)
        self.hello: dict[str, Any] = {}
        self.name = "shop"
        self.bulk_write_error: Exception | None = None

    def bulk_write(self, _writes: object, session: object) -> BulkWritten:
        if self.bulk_write_error:
            raise ClientBulkWriteException({"error": self.bulk_write_error, "writeErrors": []}, False)
        return BulkWritten(matched_count=0)

    def command(self, _name: str) -> dict[str, Any]:
        self.calls += 1
        if self.away:
            raise ServerSelectionTimeoutError("away")
        return {"localTime": datetime.now(UTC) + self.ahead, **self.hello}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def clock_of(server: FakeServer, **options: float) -> DatabaseClock:
    return DatabaseClock(server, **options)  # type: ignore[arg-type]


def is_near(moment: datetime, other: datetime) -> bool:
    return abs(moment - other) < timedelta(seconds=1)


def test_the_clock_shows_the_servers_time(server: FakeServer) -> None:
    now = clock_of(server)()
    assert is_near(now, datetime.now(UTC) + timedelta(hours=2))
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


def test_the_server_is_asked_once_for_many_readings(server: FakeServer) -> None:
    clock = clock_of(server)
    readings = [clock() for _ in range(100)]
    assert readings == sorted(readings)
    assert server.calls == 1


def test_the_clock_is_measured_again_after_a_while(server: FakeServer) -> None:
    clock = clock_of(server, refresh=-1)
    clock()
    server.ahead = timedelta(hours=5)
    assert is_near(clock(), datetime.now(UTC) + timedelta(hours=5))


def test_the_clock_goes_on_while_the_server_is_away(server: FakeServer) -> None:
    clock = clock_of(server, refresh=-1)
    clock()
    server.away = True
    assert is_near(clock(), datetime.now(UTC) + timedelta(hours=2))


def test_a_clock_that_never_knew_the_time_says_so(server: FakeServer) -> None:
    server.away = True
    clock = clock_of(server)
    for _ in range(2):
        with pytest.raises(Unavailable):
            clock()
    server.away = False
    assert is_near(clock(), datetime.now(UTC) + timedelta(hours=2))


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"setName": "rs0", "maxWireVersion": 25}, ""),
        ({"isreplicaset": True, "maxWireVersion": 27}, ""),  # a member that has just started
        ({"msg": "isdbgrid", "maxWireVersion": 25}, ""),
        ({"setName": "rs0", "maxWireVersion": 24}, "is older than MongoDB 8"),
        ({"maxWireVersion": 25}, "has no transactions; start it as a replica set (--replSet)"),
        ({"msg": "other", "maxWireVersion": 25}, "has no transactions; start it as a replica set (--replSet)"),
    ],
)
def test_transactions_need_a_replica_set_or_a_router_of_mongodb_8(
    server: FakeServer, hello: dict[str, Any], expected: str
) -> None:
    server.hello = hello
    assert missing_feature(server) == expected  # type: ignore[arg-type]


def test_mongodb_8_with_an_older_feature_compatibility_version_is_named(server: FakeServer) -> None:
    server.hello = {"setName": "rs0", "maxWireVersion": 25}
    server.bulk_write_error = OperationFailure("not enabled", 115)
    assert missing_feature(server).startswith("has a feature compatibility version below 8.0")  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [AutoReconnect("gone"), OperationFailure("no", 13)])
def test_an_outage_or_a_refusal_while_looking_is_no_lack(server: FakeServer, error: Exception) -> None:
    server.hello = {"setName": "rs0", "maxWireVersion": 25}
    server.bulk_write_error = error
    with pytest.raises(type(error)) as raised:
        missing_feature(server)  # type: ignore[arg-type]
    assert raised.value is error


SORTS: dict[str, list[tuple[str, int, type]]] = {
    "price": [("price", ASCENDING, int), ("_id", ASCENDING, str)],
    "-price": [("price", DESCENDING, int), ("_id", DESCENDING, str)],
    "made": [("made", ASCENDING, int), ("_id", ASCENDING, str)],
    "id": [("_id", ASCENDING, str)],
}


@pytest.fixture
def things() -> Any:
    collection: Any = mongomock.MongoClient().shop.things
    collection.insert_many([{"_id": f"t{n}", "price": n // 3, "made": 9 - n} for n in range(10)])
    return collection


def walk(fetch: Callable[[str | None], Any]) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = fetch(cursor)
        pages.append([document["_id"] for document in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("price", [["t0", "t1", "t2", "t3"], ["t4", "t5", "t6", "t7"], ["t8", "t9"]]),
        ("-price", [["t9", "t8", "t7", "t6"], ["t5", "t4", "t3", "t2"], ["t1", "t0"]]),
        ("made", [["t9", "t8", "t7", "t6"], ["t5", "t4", "t3", "t2"], ["t1", "t0"]]),
        ("id", [["t0", "t1", "t2", "t3"], ["t4", "t5", "t6", "t7"], ["t8", "t9"]]),
    ],
)
def test_pages_hold_every_document_once_and_in_order(things: Any, sort: str, expected: list[list[str]]) -> None:
    pages = walk(lambda cursor: find_page(things, {}, SORTS[sort], limit=4, cursor=cursor))
    assert pages == expected


def test_a_full_last_page_has_no_next_one(things: Any) -> None:
    assert find_page(things, {}, SORTS["id"], limit=10, cursor=None).next_cursor is None


def test_a_feed_goes_on_until_a_page_is_empty(things: Any) -> None:
    pages = walk(lambda cursor: find_page(things, {}, SORTS["id"], limit=5, cursor=cursor, feed=True))
    assert [len(page) for page in pages] == [5, 5, 0]


@pytest.mark.parametrize(("made_for", "used_on"), [(a, b) for a in SORTS for b in SORTS if a != b])
def test_a_cursor_of_another_order_is_refused(things: Any, made_for: str, used_on: str) -> None:
    cursor = find_page(things, {}, SORTS[made_for], limit=2, cursor=None).next_cursor
    with pytest.raises(Invalid):
        find_page(things, {}, SORTS[used_on], limit=2, cursor=cursor)


def test_writes_are_acknowledged_by_the_majority_and_times_are_aware() -> None:
    database = mongo.connect("mongodb://127.0.0.1:1/products?directConnection=true", "product-service")
    with database.client:
        assert database.name == "products"
        assert database.write_concern.document == {"w": "majority", "j": True}
        assert database.client.options.server_selection_timeout == 2.0
        assert database.client.options.pool_options.socket_timeout == 4.0
        assert database.codec_options.tz_aware
