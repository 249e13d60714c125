"""What callers prove themselves with: access tokens for people and services, and refresh tokens in families.

An access token is described here by a `Grant` and signed in `api`. A refresh token is `<family>.<random>`; the family's
document knows only the hash of the current one, and is replaced by compare-and-set.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chassis.auth.access import SERVICE
from chassis.errors import Unauthorized
from user_service.keys import Keyring, SigningKey
from user_service.throttle import Throttle

if TYPE_CHECKING:
    from user_service.accounts import User
    from user_service.store import FamilyStore, UserStore


@dataclass(frozen=True)
class Policy:
    """For whom tokens are made, and how long they live."""

    issuer: str
    audience: str
    access_seconds: int
    service_seconds: int
    refresh_days: int


@dataclass(frozen=True)
class Grant:
    """What an access token is to say, and the key to sign it with."""

    subject: str
    claims: Mapping[str, Any]
    seconds: int
    key: SigningKey


@dataclass(frozen=True)
class Pair:
    """What a user gets by signing in."""

    access: Grant
    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class Family:
    """The refresh tokens that follow from one sign-in, of which only the last is valid."""

    id: str
    user_id: str
    token_hash: str = field(repr=False)
    credential_version: int
    expires_at: datetime
    revoked: bool = False


class InvalidClient(Exception):
    """The client's id or secret is wrong."""


class Tokens:
    """The use cases around tokens."""

    def __init__(
        self,
        families: "FamilyStore",
        users: "UserStore",
        keyring: Keyring,
        throttle: Throttle,
        clock: Callable[[], datetime],
        policy: Policy,
        clients: Mapping[str, str],
    ) -> None:
        self._families = families
        self._users = users
        self._keyring = keyring
        self._throttle = throttle
        self._clock = clock
        self._policy = policy
        self._clients = clients

    def begin(self, user: "User") -> Pair:
        """Start a family for a user who has signed in."""
        family_id, token = uuid.uuid4().hex, secrets.token_urlsafe(32)
        self._families.add(Family(family_id, user.id, _hash(token), user.credential_version, self._expiry()))
        return Pair(self._grant(user), f"{family_id}.{token}")

    def refresh(self, refresh_token: str, *, address: str | None) -> Pair:
        """Replace a refresh token, with the user's roles as they are now. Raises Unauthorized, TooManyRequests.

        Of two who use the same token one gets a pair, and nobody knows whether that one is the thief: the family is
        revoked. A changed password ends a family even if its revocation was missed: the version differs.
        """
        self._throttle.refresh(address)
        family_id, _, token = refresh_token.partition(".")
        family = self._families.find(family_id)
        user = self._users.find(family.user_id) if family else None
        if family is None or user is None or user.credential_version != family.credential_version:
            raise _refused()
        successor = secrets.token_urlsafe(32)
        if not self._families.replace(family_id, _hash(token), _hash(successor), self._clock(), self._expiry()):
            self._families.revoke(family_id)
            raise _refused()
        return Pair(self._grant(user), f"{family_id}.{successor}")

    def end(self, refresh_token: str) -> None:
        """Revoke the family of a refresh token; one that is unknown is revoked already (RFC 7009, 2.2)."""
        self._families.revoke(refresh_token.partition(".")[0])

    def end_all(self, user_id: str) -> None:
        """Revoke every family of a user."""
        self._families.revoke_of_user(user_id)

    def grant_to_service(self, client_id: str, client_secret: str) -> Grant:
        """Return the grant of a service that proves itself with its secret. Raises InvalidClient."""
        expected = self._clients.get(client_id, "")
        same = hmac.compare_digest(_hash(client_secret), _hash(expected))
        if not same or not expected:
            raise InvalidClient
        return self._signed(client_id, {"roles": [SERVICE]}, self._policy.service_seconds)

    def _grant(self, user: "User") -> Grant:
        claims = {"email": user.email, "roles": list(user.roles), **({"phone": user.phone} if user.phone else {})}
        return self._signed(user.id, claims, self._policy.access_seconds)

    def _signed(self, subject: str, claims: dict[str, Any], seconds: int) -> Grant:
        claims |= {"iss": self._policy.issuer, "aud": self._policy.audience}
        return Grant(subject, claims, seconds, self._keyring.current())

    def _expiry(self) -> datetime:
        return self._clock() + timedelta(days=self._policy.refresh_days)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _refused() -> Unauthorized:
    return Unauthorized("The refresh token is not valid. Sign in again.")
