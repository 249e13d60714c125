"""The mark of an unfinished restore, in MongoDB itself. While it is there, the provisioning lets no shop start."""

from collections.abc import Collection
from typing import Any

from pymongo.collection import Collection as MongoCollection
from pymongo.write_concern import WriteConcern

from deploy import database
from deploy.archive.consistency import OWN_DATABASES, Client

_RESTORE = {"_id": "restore"}
UNFINISHED = """\
The restore of {} into this MongoDB did not finish, so the data of {} is incomplete. No part of the shop may use it.
Run the same restore again. It needs no --force, because it replaces incomplete data."""


def mark(client: Client, source: str, databases: Collection[str]) -> None:
    """Record that a restore has begun to replace databases. Those that an earlier one left incomplete stay."""
    change = {"$set": {"source": source}, "$addToSet": {"databases": {"$each": [*databases]}}, "$inc": {"restores": 1}}
    _marks(client).update_one(_RESTORE, change, upsert=True)


def clear(client: Client, databases: Collection[str]) -> None:
    """Record that the restore of these databases is complete."""
    _marks(client).update_one(_RESTORE, {"$pullAll": {"databases": [*databases]}})


def incomplete(client: Client) -> list[str]:
    """Return the databases whose restore did not finish."""
    return list(_record(client).get("databases", []))


def restores(client: Client) -> int:
    """Return how many restores have begun so far."""
    return int(_record(client).get("restores", 0))


def require_none(url: str) -> None:
    """Exit with a message if the data is that of an unfinished restore."""
    with database.connect(url) as client:
        record = _record(client)
    if record.get("databases"):
        raise SystemExit(UNFINISHED.format(record["source"], ", ".join(record["databases"])))


def _record(client: Client) -> dict[str, Any]:
    return _marks(client).find_one(_RESTORE) or {}


def _marks(client: Client) -> MongoCollection[dict[str, Any]]:
    return client[OWN_DATABASES[0]].get_collection("unfinished", write_concern=WriteConcern("majority", j=True))
