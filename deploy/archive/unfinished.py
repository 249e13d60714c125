"""The mark of an unfinished restore, in MongoDB itself. While it is there, the provisioning lets no shop start."""

from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from deploy import database
from deploy.archive.consistency import OWN_DATABASES, Client

UNFINISHED = """\
The restore of {} into this MongoDB did not finish, so its data is incomplete. No part of the shop may use it.
Run the same restore again. It needs no --force, because it replaces incomplete data."""


def mark(client: Client, source: str) -> None:
    """Record that a restore has begun to replace data."""
    _marks(client).replace_one({"_id": "restore"}, {"_id": "restore", "source": source}, upsert=True)


def clear(client: Client) -> None:
    """Record that the restore is complete."""
    _marks(client).delete_one({"_id": "restore"})


def source(client: Client) -> str:
    """Return the directory from which an unfinished restore came, "" if there is none."""
    found = _marks(client).find_one({"_id": "restore"})
    return str(found["source"]) if found else ""


def require_none(url: str) -> None:
    """Exit with a message if the data is that of an unfinished restore."""
    with database.connect(url) as client:
        if directory := source(client):
            raise SystemExit(UNFINISHED.format(directory))


def _marks(client: Client) -> Collection[dict[str, object]]:
    return client[OWN_DATABASES[0]].get_collection("unfinished", write_concern=WriteConcern("majority", j=True))
