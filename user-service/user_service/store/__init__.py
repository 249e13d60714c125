"""MongoDB of user-service: users, families of refresh tokens, signing keys, attempts.

One document is the unit of atomicity. Every method is safe to run twice.
"""

from user_service.store.attempts import AttemptStore
from user_service.store.families import FamilyStore
from user_service.store.keys import KeyStore
from user_service.store.preparation import Preparation
from user_service.store.users import UserStore

__all__ = ["AttemptStore", "FamilyStore", "KeyStore", "Preparation", "UserStore"]
