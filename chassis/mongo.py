"""MongoDB: connecting, translating errors, the database's clock, and pages of a list.

A store is a class with verbs of its domain. It is decorated with `guarded`, and each of its methods must be safe to
run twice, because one whose connection broke is run once more: its own `_id`, a compare-and-set, a recorded request.
"""

import functools
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ClientBulkWriteException,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)
from pymongo.operations import InsertOne, UpdateOne
from pymongo.uri_parser import parse_uri

from chassis.errors import Refused, Unavailable
from chassis.paging import Page, SortValue, decode_cursor, encode_cursor

Document = dict[str, Any]
Write = InsertOne[Document] | UpdateOne
C = TypeVar("C", bound=type)

ASCENDING, DESCENDING = pymongo.ASCENDING, pymongo.DESCENDING

MONGODB_8 = 25  # the version of its wire protocol
COMMAND_NOT_SUPPORTED, DUPLICATE_KEY = 115, 11000  # the server's error codes

_PASSING_LABELS = ("TransientTransactionError", "RetryableWriteError", "SystemOverloadedError")
_PASSING = {  # codes of the server's errors, of which pymongo makes no ConnectionFailure everywhere
    24: "LockTimeout",
    91: "ShutdownInProgress",
    189: "PrimarySteppedDown",
    262: "ExceededTimeLimit",
    365: "TemporarilyUnavailable",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
}
_REFUSALS = {13: "Unauthorized", 18: "AuthenticationFailed"}
_ADVICE = "Correct it, or run the provisioning: it sets passwords and rights."


def connect(url: str, service: str, *, timeout: float = 4.0) -> Database[Document]:
    """Return the database in the URL's path. It connects at the first use.

    Finding the server may take 2 s, waiting for one answer `timeout` seconds. (pymongo's `timeoutMS`, which bounds an
    operation as a whole, would let the search take as long as that.)
    """
    client: MongoClient[Document] = MongoClient(
        url,
        appname=service,
        tz_aware=True,
        w="majority",
        journal=True,
        serverSelectionTimeoutMS=2000,
        connectTimeoutMS=2000,
        waitQueueTimeoutMS=2000,
        socketTimeoutMS=int(timeout * 1000),
    )
    return client.get_default_database()


def names_in(url: str) -> tuple[bool, bool]:
    """Tell whether a URL names a database, and an account or another way to sign in. Raises ValueError."""
    if url.startswith("mongodb+srv://"):  # pymongo would ask DNS
        parts = urlsplit(url)
        return len(parts.path) > 1, bool(parts.username) or "authmechanism=" in parts.query.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of options that it passes over; the client warns of them
            parsed = parse_uri(url, warn=True)
    except (PyMongoError, OSError) as exc:
        raise ValueError(f"not a URL of MongoDB: {type(exc).__name__}") from exc
    options = {name.lower() for name in parsed["options"]}
    return bool(parsed["database"]), bool(parsed["username"]) or "authmechanism" in options


def find_lack(database: Database[Document]) -> str:
    """Return what the server lacks for transactions that write to several collections at once, "" if it has all.

    It must be a member of a replica set or a mongos, of MongoDB 8 or later, with the features of that version turned
    on. A member that is just starting has not loaded the name of its set yet, and says only `isreplicaset`.
    """
    hello = database.client.admin.command("hello")
    if not ("setName" in hello or bool(hello.get("isreplicaset")) or hello.get("msg") == "isdbgrid"):
        return "has no transactions; start it as a replica set (--replSet)"
    if hello["maxWireVersion"] < MONGODB_8:
        return "is older than MongoDB 8"
    try:
        bulk_write(database, [UpdateOne({"_id": ""}, {"$set": {"_id": ""}}, namespace=f"{database.name}.none")])
    except OperationFailure as exc:
        if exc.code != COMMAND_NOT_SUPPORTED:
            raise
        return "has a feature compatibility version below 8.0; raise it (setFeatureCompatibilityVersion)"
    return ""


def bulk_write(database: Database[Document], writes: Sequence[Write], session: ClientSession | None = None) -> int:
    """Make writes to several collections in one command (`bulkWrite`, MongoDB 8); return how many updates found theirs.

    Raises what the first write to fail would raise on its own.
    """
    try:
        return database.client.bulk_write(writes, session=session).matched_count
    except ClientBulkWriteException as exc:
        if isinstance(exc.error, PyMongoError):
            raise exc.error from exc
        for error in exc.details["writeErrors"]:
            kind = DuplicateKeyError if error["code"] == DUPLICATE_KEY else OperationFailure
            raise kind(error["errmsg"], error["code"], error) from exc
        raise


def guarded(store: C) -> C:
    """Make every public method of a store raise Unavailable when the database does not answer, Refused if it refuses.

    A call whose connection broke is run once more first: a restarted server closes all pooled connections.
    A transaction is not: the driver has repeated it already, for as long as it may take.
    """
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_"):
            setattr(store, name, _guarded(method))
    return store


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return method(*args, **kwargs)
            except AutoReconnect as exc:
                if exc.timeout or exc.has_error_label("TransientTransactionError"):
                    raise
                return method(*args, **kwargs)
        except PyMongoError as exc:
            if not (is_outage(exc) or _refusal(exc)):
                raise
            raise _problem(exc) from exc

    return call


def _refusal(exc: PyMongoError) -> str | None:
    """Return the name of the error with which the server refuses an account, None for any other."""
    return _REFUSALS.get(exc.code or 0) if isinstance(exc, OperationFailure) else None


def _problem(exc: PyMongoError) -> Unavailable:
    """Return what a caller is told of an error of the database."""
    if name := _refusal(exc):
        return Refused(f"The database refuses the account of MONGO_URL ({name}). {_ADVICE}")
    return Unavailable("The database does not answer.")


def is_outage(exc: PyMongoError) -> bool:
    """Return whether an error means that the server is away, slow, overloaded or changing its primary."""
    passing = isinstance(exc, OperationFailure) and exc.code in _PASSING
    return (
        isinstance(exc, ConnectionFailure) or exc.timeout or passing or any(map(exc.has_error_label, _PASSING_LABELS))
    )


class DatabaseClock:
    """The database server's clock, so that processes whose own clocks are wrong agree on the time.

    The difference to the monotonic clock is measured every `refresh` seconds, by one thread at a time; while the
    server does not answer, the last one known is used on.
    """

    def __init__(self, database: Database[Document], *, refresh: float = 30.0) -> None:
        self._admin = database.client.admin
        self._refresh = refresh
        self._measuring = threading.Lock()
        self._measured_at = float("-inf")
        self._offset: float | None = None

    def __call__(self) -> datetime:
        """Return the server's time now, aware UTC, in whole milliseconds. Raises Unavailable while it is unknown."""
        if time.monotonic() - self._measured_at > self._refresh and self._measuring.acquire(blocking=False):
            try:
                self._measure()
            finally:
                self._measuring.release()
        offset = self._offset if self._offset is not None else self._measure()
        return datetime.fromtimestamp(int((time.monotonic() + offset) * 1000) / 1000, UTC)

    def _measure(self) -> float:
        started = time.monotonic()
        try:
            server_time: datetime = self._admin.command("hello")["localTime"]
        except PyMongoError as exc:
            offset = self._offset
            if offset is None:
                raise _problem(exc) from exc
        else:
            offset = server_time.timestamp() - (started + time.monotonic()) / 2
        self._offset, self._measured_at = offset, time.monotonic()
        return offset


def find_page(
    collection: Collection[Document],
    conditions: Mapping[str, Any],
    sort: list[tuple[str, int, type]],
    *,
    limit: int,
    cursor: str | None,
    feed: bool = False,
) -> Page[Document]:
    """Return the documents after `cursor` in the order of `sort`: [(field, direction, kind)], the last one unique.

    All fields are sorted in the same direction. A feed, which grows at its end, has a next cursor after every page
    but an empty one. Raises Invalid if the cursor is not one of this list.
    """
    query = dict(conditions)
    order = ",".join(f"{'-' if way == DESCENDING else ''}{field}" for field, way, _ in sort)
    if cursor is not None:
        seen = decode_cursor(cursor, order, [kind for _, _, kind in sort])
        query = {"$and": [query, *_after(sort, seen)]}
    found = collection.find(query).sort([(field, way) for field, way, _ in sort]).limit(limit + 1)
    documents = list(found)
    more = len(documents) > limit
    documents = documents[:limit]
    last = [documents[-1][field] for field, _, _ in sort] if documents and (more or feed) else None
    return Page(documents, encode_cursor(order, last) if last is not None else None)


def _after(sort: list[tuple[str, int, type]], values: list[SortValue]) -> list[Document]:
    beyond = "$gt" if sort[0][1] == ASCENDING else "$lt"
    if len(sort) == 1:
        return [{sort[0][0]: {beyond: values[0]}}]
    (first, _, _), (last, _, _) = sort
    return [
        {first: {f"{beyond}e": values[0]}},  # bounds the index scan; the next line leaves out what was seen
        {"$or": [{first: {beyond: values[0]}}, {last: {beyond: values[1]}}]},
    ]
