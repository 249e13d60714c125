"""Families of refresh tokens in MongoDB, one document each. It expires with the family's newest token."""

from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import Document, retry_and_translate
from user_service.model import RefreshTokenFamily


@retry_and_translate
class RefreshTokenStore:
    """Families of refresh tokens."""

    def __init__(self, database: Database[Document]) -> None:
        self._families = database.refresh_families

    def add(self, family: RefreshTokenFamily) -> None:
        """Insert a family. Its id is random, so a duplicate means that this very call has run before."""
        fields = dict(vars(family))
        try:
            self._families.insert_one({"_id": fields.pop("id"), **fields})
        except DuplicateKeyError:
            return

    def find(self, family_id: str) -> RefreshTokenFamily | None:
        """Return a family."""
        document = self._families.find_one({"_id": family_id})
        return RefreshTokenFamily(id=document.pop("_id"), **document) if document else None

    def replace(self, family_id: str, old: str, new: str, now: datetime, expires_at: datetime) -> bool:
        """Replace the newest token's hash by compare-and-set. Return False if `old` is not valid any more."""
        current = {"_id": family_id, "token_hash": old, "revoked": False, "expires_at": {"$gt": now}}
        change = {"$set": {"token_hash": new, "expires_at": expires_at}}
        if self._families.update_one(current, change).matched_count:
            return True
        repeated = {"_id": family_id, "token_hash": new, "revoked": False}  # this very call has run before
        return self._families.find_one(repeated) is not None

    def revoke(self, family_id: str) -> bool:
        """Make every token of a family invalid. Return whether this call has done it: only one of several does."""
        valid = {"_id": family_id, "revoked": False}
        return self._families.update_one(valid, {"$set": {"revoked": True}}).matched_count == 1

    def revoke_all(self, user_id: str) -> None:
        """Make every refresh token of a user invalid."""
        self._families.update_many({"user_id": user_id}, {"$set": {"revoked": True}})

    def revoke_every_family(self) -> int:
        """Make every refresh token of every user invalid; return how many families this call has revoked."""
        return self._families.update_many({"revoked": False}, {"$set": {"revoked": True}}).modified_count
