"""The indexes of user-service, and the keys of accounts that an earlier version wrote."""

from pymongo.database import Database
from pymongo.operations import IndexModel

from chassis.mongo import DESCENDING, Document, retry_and_translate
from chassis.mongo.rekeying import rekey
from user_service.emails import canonical_email

KEYS_VERSION = 2  # of the rules of `canonical_email`: raise it with each change of them
_EXPIRY = IndexModel("expires_at", expireAfterSeconds=0)  # MongoDB deletes a document once this time has passed


@retry_and_translate
class Indexes:
    """The indexes and current keys of the collections."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def ensure_indexes(self) -> None:
        """Create the indexes that are missing, and make the keys of older accounts anew."""
        newest_first = IndexModel([("created_at", DESCENDING), ("_id", DESCENDING)])
        email = IndexModel("email_key", unique=True)
        self._database.users.create_indexes([email, newest_first, IndexModel("roles")])
        self._database.signing_keys.create_index("sequence", unique=True)
        self._database.refresh_families.create_indexes([IndexModel("user_id"), _EXPIRY])
        self._database.attempts.create_indexes([_EXPIRY])
        rekey(self._database.users, KEYS_VERSION, ("email",), _keys_of, unique="email_key")


def _keys_of(document: Document) -> Document:
    return {"email_key": canonical_email(document["email"])}
