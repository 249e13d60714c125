"""Signing keys in MongoDB. A unique sequence lets processes that start or rotate at once agree on one."""

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import ASCENDING, Document, retry_and_translate
from user_service.keys import SigningKey


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
        """Insert a key; False if another one has its sequence."""
        document = {"_id": key.id, "sequence": key.sequence, "pem": key.pem, "signs_from": key.signs_from}
        try:
            self._keys.insert_one(document)
        except DuplicateKeyError:
            return self._keys.find_one({"_id": key.id}) is not None
        return True

    def delete_all_but(self, kept: list[str], *, up_to: int) -> None:
        """Delete keys that are not kept, of those up to a sequence."""
        self._keys.delete_many({"_id": {"$nin": kept}, "sequence": {"$lte": up_to}})
