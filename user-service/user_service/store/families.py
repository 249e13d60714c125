"""Families of refresh tokens in MongoDB: one document each, which vanishes when its last token has expired."""

from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import Document, retry_and_translate
from user_service.tokens import Family


@retry_and_translate
class FamilyStore:
    """Families of refresh tokens."""

    def __init__(self, database: Database[Document]) -> None:
        self._families = database.refresh_families

    def add(self, family: Family) -> None:
        """Insert a family; its id is random, so that one which is there is this one."""
        document = {name: value for name, value in vars(family).items() if name != "id"}
        try:
            self._families.insert_one({"_id": family.id, **document})
        except DuplicateKeyError:
            return

    def find(self, family_id: str) -> Family | None:
        """Return a family."""
        document = self._families.find_one({"_id": family_id})
        return Family(id=document.pop("_id"), **document) if document else None

    def replace(self, family_id: str, old: str, new: str, now: datetime, expires_at: datetime) -> bool:
        """Put the hash of a new token in the place of the current one; False if `old` is not valid any more."""
        current = {"_id": family_id, "token_hash": old, "revoked": False, "expires_at": {"$gt": now}}
        change = {"$set": {"token_hash": new, "expires_at": expires_at}}
        if self._families.update_one(current, change).matched_count:
            return True
        repeated = {"_id": family_id, "token_hash": new, "revoked": False}  # this very call was run twice
        return self._families.find_one(repeated) is not None

    def revoke(self, family_id: str) -> None:
        """Make every token of a family invalid."""
        self._families.update_one({"_id": family_id}, {"$set": {"revoked": True}})

    def revoke_of_user(self, user_id: str) -> None:
        """Make every refresh token of a user invalid."""
        self._families.update_many({"user_id": user_id}, {"$set": {"revoked": True}})
