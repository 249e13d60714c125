"""What the database of user-service needs before it is used."""

from pymongo.database import Database
from pymongo.operations import IndexModel

from chassis.mongo import DESCENDING, DatabaseClock, Document, retry_and_translate
from chassis.mongo.rekeying import rekey
from user_service.emails import canonical

KEYS_VERSION = 2  # of the rules of `canonical`; documents without one are older


@retry_and_translate
class Preparation:
    """What the database needs before it is used, and whether it answers."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._database = database
        self._clock = clock

    def prepare(self) -> None:
        """Make the indexes, ask for the server's time, so that the clock is known from then on, and bring accounts
        of an earlier version up to date.
        """
        self._clock()
        newest_first = IndexModel([("created_at", DESCENDING), ("_id", DESCENDING)])
        admins = IndexModel("roles")
        self._database.users.create_indexes([IndexModel("email_key", unique=True), newest_first, admins])
        self._database.signing_keys.create_index("sequence", unique=True)
        self._database.refresh_families.create_indexes([IndexModel("user_id"), _expiry()])
        self._database.attempts.create_indexes([_expiry()])
        rekey(self._database.users, KEYS_VERSION, ("email",), _keys_of, unique="email_key")

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._database.users.find_one({"_id": ""})


def _keys_of(document: Document) -> Document:
    return {"email_key": canonical(document["email"])}


def _expiry() -> IndexModel:
    return IndexModel("expires_at", expireAfterSeconds=0)
