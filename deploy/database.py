"""Prepare MongoDB: a user per service with access to its own database only, and a replica set of one member.

A URL that names a replica set (several hosts, `replicaSet=` or `mongodb+srv://`) belongs to a set that somebody else
looks after. Nothing is initiated there.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from deploy.config import Account
from deploy.waiting import retry

ALREADY_INITIALIZED, NOT_YET_INITIALIZED, USER_EXISTS = 23, 94, 51003  # the server's error codes


def provision(url: str, accounts: Iterable[Account], deadline: float) -> None:
    """Wait up to `deadline` seconds for the server, and create or update the services' users."""
    require_primary(url, deadline)
    with connect(url) as client:
        for account in accounts:
            set_user, what = partial(_set_user, client, account), f"MongoDB did not create the user {account.name}"
            retry(set_user, (ConnectionFailure,), deadline=deadline, what=what)


def require_primary(url: str, deadline: float) -> None:
    """Wait until there is a primary. A server of its own becomes a replica set of one member first."""
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    with connect(url) as client:
        if not names_replica_set(url):
            initiate = partial(_initiate, client, f"{urlsplit(url).hostname}:{urlsplit(url).port or 27017}")
            retry(initiate, (ConnectionFailure,), deadline=deadline, what=f"MongoDB is not reachable at {hosts}")
        check = partial(_check_primary, client)
        retry(check, (ConnectionFailure,), deadline=deadline, what=f"MongoDB has no primary at {hosts}")


def connect(url: str, *, reply: float = 10.0) -> MongoClient[dict[str, Any]]:
    """Return a client for this server alone, or for the replica set: 2 s to connect, `reply` seconds for a reply."""
    options: dict[str, Any] = {} if names_replica_set(url) else {"directConnection": True}
    timeouts = {"serverSelectionTimeoutMS": 2000, "connectTimeoutMS": 2000, "socketTimeoutMS": int(reply * 1000)}
    return MongoClient(url, **(options | timeouts))


def names_replica_set(url: str) -> bool:
    """Return whether a URL names a replica set rather than one server."""
    parts = urlsplit(url)
    has_several_hosts = "," in parts.netloc.rpartition("@")[2]
    return has_several_hosts or parts.scheme == "mongodb+srv" or "replicaset=" in parts.query.lower()


def _initiate(client: MongoClient[dict[str, Any]], address: str) -> None:
    if "setName" in client.admin.command("hello"):
        return
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as exc:
        if exc.code == NOT_YET_INITIALIZED:
            _initiate_with(client, {"_id": "rs0", "members": [{"_id": 0, "host": address}]})


def _initiate_with(client: MongoClient[dict[str, Any]], config: dict[str, Any]) -> None:
    try:
        client.admin.command("replSetInitiate", config)
    except OperationFailure as exc:
        if exc.code != ALREADY_INITIALIZED:  # another process that runs the provisioning was faster
            raise


def _check_primary(client: MongoClient[dict[str, Any]]) -> None:
    if not client.admin.command("hello").get("isWritablePrimary"):
        raise ConnectionFailure("the replica set has elected no primary yet")


def _set_user(client: MongoClient[dict[str, Any]], account: Account) -> None:
    database = client[account.database]
    rights: dict[str, Any] = {"pwd": account.password, "roles": [{"role": "readWrite", "db": account.database}]}
    try:
        database.command("createUser", account.name, **rights)
    except OperationFailure as exc:
        if exc.code != USER_EXISTS:
            raise
        database.command("updateUser", account.name, **rights)
