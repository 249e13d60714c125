"""MongoDB of user-service: users, families of refresh tokens, signing keys, attempts.

One document is the unit of atomicity. Every method is safe to run twice.
"""

from user_service.store.attempts import AttemptStore
from user_service.store.indexes import Indexes
from user_service.store.keys import KeyStore
from user_service.store.refresh_tokens import RefreshTokenStore
from user_service.store.users import UserStore

__all__ = ["AttemptStore", "Indexes", "KeyStore", "RefreshTokenStore", "UserStore"]
