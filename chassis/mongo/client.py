"""The connection to a MongoDB server, and what the server must be able to do."""

import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pymongo import ASCENDING as ASCENDING
from pymongo import DESCENDING as DESCENDING
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ClientBulkWriteException, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.operations import InsertOne, UpdateOne
from pymongo.uri_parser import parse_uri

Document = dict[str, Any]
Write = InsertOne[Document] | UpdateOne

MONGODB_8 = 25  # the version of its wire protocol
COMMAND_NOT_SUPPORTED, DUPLICATE_KEY = 115, 11000  # the server's error codes


def connect(url: str, service: str, *, timeout: float = 4.0) -> Database[Document]:
    """Return the database that the URL's path names. It connects at the first use.

    The write concern is majority, journaled. Server selection may take 2 s, and one reply `timeout` seconds. (pymongo's
    `timeoutMS` is one budget for both.)
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


def has_database_and_credentials(url: str) -> tuple[bool, bool]:
    """Return whether a URL names a database, and an account or another way to sign in. Raises ValueError."""
    if url.startswith("mongodb+srv://"):  # pymongo would ask DNS
        parts = urlsplit(url)
        return len(parts.path) > 1, bool(parts.username) or "authmechanism=" in parts.query.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unknown options; the client warns again
            parsed = parse_uri(url, warn=True)
    except (PyMongoError, OSError) as exc:
        raise ValueError(f"not a URL of MongoDB: {type(exc).__name__}") from exc
    options = {name.lower() for name in parsed["options"]}
    return bool(parsed["database"]), bool(parsed["username"]) or "authmechanism" in options


def missing_feature(database: Database[Document]) -> str:
    """Return what the server lacks for transactions that write to several collections in one command, "" for nothing.

    It must be a member of a replica set, or a mongos, with the features of MongoDB 8 enabled.
    """
    hello = database.client.admin.command("hello")
    is_starting_member = bool(hello.get("isreplicaset"))  # it does not know the name of its set yet
    if not ("setName" in hello or is_starting_member or hello.get("msg") == "isdbgrid"):
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
    """Write to several collections in one command (`bulkWrite`, MongoDB 8). Return how many updates matched.

    Raises the error that the first failing write would raise on its own.
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
