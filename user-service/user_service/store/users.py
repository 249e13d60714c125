"""Users in MongoDB."""

from collections.abc import Mapping
from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.auth.access import ADMIN
from chassis.mongo import DESCENDING, Document, find_page, retry_and_translate
from chassis.paging import Page
from user_service.emails import canonical_email
from user_service.model import User
from user_service.store.indexes import KEYS_VERSION


@retry_and_translate
class UserStore:
    """Users. Their e-mail addresses are unique in canonical form."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = database.users

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._users.find_one({"_id": ""})

    def add(self, user: User) -> bool:
        """Insert a user. Return False if the e-mail address is taken."""
        keys = {"email_key": canonical_email(user.email), "keys_version": KEYS_VERSION}
        fields = dict(vars(user))
        try:
            self._users.insert_one({"_id": fields.pop("id"), **fields, **keys})
        except DuplicateKeyError:
            return self._users.find_one({"_id": user.id}) is not None
        return True

    def find(self, user_id: str) -> User | None:
        """Return the user with an id."""
        document = self._users.find_one({"_id": user_id})
        return _user(document) if document else None

    def find_by_email(self, canonical: str, spelling: str) -> User | None:
        """Return the user of a mailbox. If an earlier version accepted two users, the spelling decides."""
        by_key = {d["email_key"]: d for d in self._users.find({"email_key": {"$in": list({canonical, spelling})}})}
        document = by_key.get(spelling) or by_key.get(canonical)
        return _user(document) if document else None

    def list_newest(self, *, limit: int, cursor: str | None) -> Page[User]:
        """Return a page of users, newest first."""
        sort = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]
        page = find_page(self._users, {}, sort, limit=limit, cursor=cursor)
        return Page([_user(document) for document in page.items], page.next_cursor)

    def audit_records(self) -> list[Document]:
        """Return each account's roles and the algorithm of its password hash."""
        return [
            {"kind": "user", "id": d["_id"], "roles": d["roles"], "hash": d["password_hash"].split("$")[1]}
            for d in self._users.find({}, {"roles": True, "password_hash": True})
        ]

    def set_profile(self, user_id: str, changes: Mapping[str, str | None]) -> None:
        """Set the name, the phone number or both."""
        self._users.update_one({"_id": user_id}, {"$set": dict(changes)})

    def set_roles(self, user_id: str, roles: tuple[str, ...]) -> None:
        """Replace the roles of a user."""
        self._users.update_one({"_id": user_id}, {"$set": {"roles": list(roles)}})

    def has_admin(self, *, besides: str = "") -> bool:
        """Return whether there is an administrator other than `besides`."""
        return self._users.find_one({"roles": ADMIN, "_id": {"$ne": besides}}, {"_id": True}) is not None

    def replace_hash(self, user_id: str, old: str, new: str) -> None:
        """Replace the hash of an unchanged password by compare-and-set."""
        self._users.update_one({"_id": user_id, "password_hash": old}, {"$set": {"password_hash": new}})

    def change_password(self, user_id: str, version: int, new: str) -> bool:
        """Set the hash of a new password by compare-and-set. Return False if `version` is not the current one."""
        change = {"$set": {"password_hash": new, "credential_version": version + 1}}
        if self._users.update_one({"_id": user_id, "credential_version": version}, change).matched_count:
            return True
        repeated = {"_id": user_id, "password_hash": new}  # this very call has run before
        return self._users.find_one(repeated) is not None


def _user(document: Document) -> User:
    fields = {name: document[name] for name in User.__dataclass_fields__ if name not in ("id", "roles")}
    return User(id=document["_id"], roles=tuple(document["roles"]), **fields)
