"""Read several databases as of one moment, as far as the server can. Whether it can is proven, not assumed.

The proof is a canary: two documents in two databases, read in the session, changed from outside, and read again. A
session whose view does not hold still is not used.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from bson import ObjectId
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from deploy.archive.manifest import BackupError, Consistency

MODES: tuple[Consistency, ...] = get_args(Consistency)  # the best first
SNAPSHOT, TRANSACTION, ORDERED = MODES
OWN_DATABASES = ("shop_backup", "shop_backup_canary")  # no service uses them
BEFORE, AFTER = [0, 0], [1, 1]
FORGOTTEN = timedelta(days=1)  # a canary of this age belongs to a backup that was killed

Client = MongoClient[dict[str, Any]]


class NotIsolated(BackupError):
    """The server accepts the session, but lets it see later changes."""


@contextmanager
def view(client: Client, mode: Consistency) -> Iterator[ClientSession | None]:
    """Lend a session that sees everything as of one moment; None for plain reads. It is checked again at the end.

    Raises NotIsolated or OperationFailure if the server has no such session, or ends it too early.
    """
    if mode == ORDERED:
        yield None
        return
    with (
        _canary(client) as canary,
        client.start_session(snapshot=mode == SNAPSHOT, causal_consistency=False) as session,
    ):
        if mode == TRANSACTION:
            session.start_transaction(read_concern=ReadConcern("snapshot"))
        canary.see(session)
        canary.change()
        canary.see(session)
        yield session
        canary.see(session)


class Canary:
    """Two documents in two databases of the backup's own."""

    def __init__(self, client: Client) -> None:
        majority = WriteConcern("majority")
        self._homes = [client[name].get_collection("canaries", write_concern=majority) for name in OWN_DATABASES]
        self._id = ObjectId()

    def plant(self) -> None:
        """Insert the documents."""
        for home, number in zip(self._homes, BEFORE, strict=True):
            home.insert_one({"_id": self._id, "number": number})

    def change(self) -> None:
        """Change the documents, as somebody else would."""
        for home, number in zip(self._homes, AFTER, strict=True):
            home.update_one({"_id": self._id}, {"$set": {"number": number}})

    def see(self, session: ClientSession) -> None:
        """Raise NotIsolated unless a session sees the documents as they were."""
        seen = [home.find_one({"_id": self._id}, session=session) or {} for home in self._homes]
        if [document.get("number") for document in seen] != BEFORE:
            raise NotIsolated("the server lets the session see later changes")

    def remove(self) -> None:
        """Remove the documents, and those that were forgotten. The databases stay: dropping one may hang."""
        oldest = ObjectId.from_datetime(datetime.now(UTC) - FORGOTTEN)
        for home in self._homes:
            home.delete_many({"$or": [{"_id": self._id}, {"_id": {"$lt": oldest}}]})


@contextmanager
def _canary(client: Client) -> Iterator[Canary]:
    canary = Canary(client)
    try:
        canary.plant()
        yield canary
    finally:
        with suppress(PyMongoError):  # the next backup but one removes it
            canary.remove()
