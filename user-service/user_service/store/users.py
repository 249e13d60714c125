"""Users in MongoDB."""

from collections.abc import Mapping
from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.auth.access import ADMIN
from chassis.mongo import DESCENDING, Document, find_page, retry_and_translate
from chassis.paging import Page
from user_service.accounts import User
from user_service.emails import as_written, canonical
from user_service.store.preparation import KEYS_VERSION


@retry_and_translate
class UserStore:
    """Users; their e-mail addresses are unique in their canonical form."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = database.users

    def add(self, user: User) -> bool:
        """Insert a user; False if the e-mail address is taken."""
        try:
            self._users.insert_one(_document(user))
        except DuplicateKeyError:
            return self._users.find_one({"_id": user.id}) is not None
        return True

    def find(self, user_id: str) -> User | None:
        """Return the user with that id."""
        document = self._users.find_one({"_id": user_id})
        return _user(document) if document else None

    def find_by_email(self, email: str) -> User | None:
        """Return the user with that e-mail address, however it is spelled.

        Of two accounts of one mailbox that an earlier version let in, it is the one with this spelling.
        """
        exact = as_written(email)
        found = {d["email_key"]: d for d in self._users.find({"email_key": {"$in": list({canonical(email), exact})}})}
        document = found.get(exact) or found.get(canonical(email))
        return _user(document) if document else None

    def list_newest(self, *, limit: int, cursor: str | None) -> Page[User]:
        """Return a page of users, newest first."""
        sort = [("created_at", DESCENDING, datetime), ("_id", DESCENDING, str)]
        page = find_page(self._users, {}, sort, limit=limit, cursor=cursor)
        return Page([_user(document) for document in page.items], page.next_cursor)

    def audit_records(self) -> list[Document]:
        """Return what an audit looks at: every account's roles, and how its password is kept."""
        return [
            {"kind": "user", "id": d["_id"], "roles": d["roles"], "hash": d["password_hash"].split("$")[1]}
            for d in self._users.find({}, {"roles": True, "password_hash": True})
        ]

    def set_profile(self, user_id: str, changes: Mapping[str, str | None]) -> None:
        """Set name or phone."""
        self._users.update_one({"_id": user_id}, {"$set": dict(changes)})

    def set_roles(self, user_id: str, roles: tuple[str, ...]) -> None:
        """Set the roles."""
        self._users.update_one({"_id": user_id}, {"$set": {"roles": list(roles)}})

    def has_admin(self, *, besides: str = "") -> bool:
        """Tell whether there is an administrator other than `besides`."""
        return self._users.find_one({"roles": ADMIN, "_id": {"$ne": besides}}, {"_id": True}) is not None

    def replace_hash(self, user_id: str, old: str, new: str) -> None:
        """Replace the hash of an unchanged password, unless somebody else has."""
        self._users.update_one({"_id": user_id, "password_hash": old}, {"$set": {"password_hash": new}})

    def change_password(self, user_id: str, version: int, new: str) -> bool:
        """Set the hash of a new password and the next credential version; False if `version` is not the current one."""
        change = {"$set": {"password_hash": new, "credential_version": version + 1}}
        if self._users.update_one({"_id": user_id, "credential_version": version}, change).matched_count:
            return True
        return self._users.find_one({"_id": user_id, "password_hash": new}) is not None  # this very call, repeated


def _document(user: User) -> Document:
    fields = {name: value for name, value in vars(user).items() if name != "id"}
    return {
        "_id": user.id,
        **fields,
        "email_key": canonical(user.email),
        "keys_version": KEYS_VERSION,
        "roles": list(user.roles),
    }


def _user(document: Document) -> User:
    fields = {name: document[name] for name in User.__dataclass_fields__ if name not in ("id", "roles")}
    return User(id=document["_id"], roles=tuple(document["roles"]), **fields)
