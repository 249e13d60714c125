"""What the database of user-service needs before it is used."""

from pymongo.database import Database
from pymongo.operations import IndexModel

from chassis.mongo import DESCENDING, DatabaseClock, Document, guarded


@guarded
class Preparation:
    """What the database needs before it is used, and whether it answers."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._database = database
        self._clock = clock

    def prepare(self) -> None:
        """Make the indexes, and ask for the server's time, so that the clock is known from then on."""
        self._clock()
        newest_first = IndexModel([("created_at", DESCENDING), ("_id", DESCENDING)])
        admins = IndexModel("roles")
        self._database.users.create_indexes([IndexModel("email_key", unique=True), newest_first, admins])
        self._database.signing_keys.create_index("sequence", unique=True)
        self._database.refresh_families.create_indexes([IndexModel("user_id"), _expiry()])
        self._database.attempts.create_indexes([_expiry()])

    def ping(self) -> None:
        """Return if the database answers."""
        self._database.command("ping")


def _expiry() -> IndexModel:
    return IndexModel("expires_at", expireAfterSeconds=0)
