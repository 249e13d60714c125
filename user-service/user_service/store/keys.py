"""Signing keys in MongoDB. Their sequence is unique, so processes that start or rotate together agree on one key."""

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import ASCENDING, Document, retry_and_translate
from user_service.model import SigningKey


@retry_and_translate
class KeyStore:
    """Signing keys."""

    def __init__(self, database: Database[Document]) -> None:
        self._keys = database.signing_keys

    def find_all(self) -> tuple[SigningKey, ...]:
        """Return all keys, oldest first."""
        documents = self._keys.find().sort("sequence", ASCENDING)
        return tuple(SigningKey(d["_id"], d["sequence"], d["pem"], d["signs_from"]) for d in documents)

    def add(self, key: SigningKey) -> bool:
        """Insert a key. Return False if another key has its sequence."""
        fields = dict(vars(key))
        try:
            self._keys.insert_one({"_id": fields.pop("id"), **fields})
        except DuplicateKeyError:
            return self._keys.find_one({"_id": key.id}) is not None
        return True

    def delete_all_but(self, ids: list[str], *, up_to: int) -> None:
        """Delete the keys up to a sequence, except those with these ids."""
        self._keys.delete_many({"_id": {"$nin": ids}, "sequence": {"$lte": up_to}})
