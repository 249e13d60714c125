"""Access tokens for people and services, and refresh tokens in families.

`Tokens._access_token` makes every access token; `app` passes in the function `sign`. A refresh token is
`<family>.<secret>`. The family's document has only the hash of the newest secret, and each refresh replaces that hash
by compare-and-set.
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
from user_service import metrics
from user_service.keys import Keyring
from user_service.model import AccessToken, RefreshTokenFamily, SigningKey, TokenPair, User
from user_service.oauth import invalid_client
from user_service.throttle import Throttle

if TYPE_CHECKING:
    from user_service.store import RefreshTokenStore, UserStore

Sign = Callable[[Mapping[str, Any], int, SigningKey], str]  # (claims, seconds to live, key) -> JWT


@dataclass(frozen=True)
class TokenPolicy:
    """The issuer and audience of access tokens, and how long tokens live."""

    issuer: str
    audience: str
    access_seconds: int
    service_seconds: int
    refresh_days: int


@dataclass(frozen=True)
class Tokens:
    """The use cases of tokens."""

    families: "RefreshTokenStore"
    users: "UserStore"
    keyring: Keyring
    throttle: Throttle
    clock: Callable[[], datetime]
    policy: TokenPolicy
    clients: Mapping[str, str] = field(repr=False)  # each service's id, with its secret
    sign: Sign

    def issue(self, user: User) -> TokenPair:
        """Return an access token and the first refresh token of a new family, for a user who has signed in."""
        family_id, secret = uuid.uuid4().hex, secrets.token_urlsafe(32)
        family = RefreshTokenFamily(family_id, user.id, _hash(secret), user.credential_version, self._expiry())
        self.families.add(family)
        return self._pair(user, f"{family_id}.{secret}")

    def refresh(self, refresh_token: str, *, address: str | None) -> TokenPair:
        """Replace a refresh token. The access token has the user's present roles. Raises Unauthorized, TooManyRequests.

        A token that is used twice may be stolen, and either use may be the thief's: the whole family is revoked. A
        changed password ends a family even if its revocation was lost, because the credential version differs.
        """
        self.throttle.count_refresh(address)
        family_id, _, secret = refresh_token.partition(".")
        family = self.families.find(family_id)
        user = self.users.find(family.user_id) if family else None
        if family is None or user is None or user.credential_version != family.credential_version:
            raise _invalid_refresh_token()
        successor, now = secrets.token_urlsafe(32), self.clock()
        if not self.families.replace(family_id, _hash(secret), _hash(successor), now, self._expiry()):
            if self.families.revoke(family_id) and now < family.expires_at:
                metrics.TOKEN_REUSES.inc()
            raise _invalid_refresh_token()
        return self._pair(user, f"{family_id}.{successor}")

    def revoke(self, refresh_token: str) -> None:
        """Revoke the family of a refresh token. An unknown token counts as revoked (RFC 7009, 2.2)."""
        self.families.revoke(refresh_token.partition(".")[0])

    def revoke_all(self, user_id: str) -> None:
        """Revoke every refresh token of a user."""
        self.families.revoke_all(user_id)

    def issue_service_token(self, client_id: str, client_secret: str) -> AccessToken:
        """Return an access token for a service that knows its secret. Raises TokenRefusal."""
        expected = self.clients.get(client_id, "")
        if not hmac.compare_digest(_hash(client_secret), _hash(expected)) or not expected:
            raise invalid_client()
        return self._access_token(client_id, self.policy.service_seconds, roles=[SERVICE])

    def _pair(self, user: User, refresh_token: str) -> TokenPair:
        claims = {"email": user.email, "roles": list(user.roles), **({"phone": user.phone} if user.phone else {})}
        token = self._access_token(user.id, self.policy.access_seconds, **claims)
        return TokenPair(token.access_token, token.expires_in, refresh_token)

    def _access_token(self, subject: str, seconds: int, **claims: Any) -> AccessToken:
        claims |= {"sub": subject, "iss": self.policy.issuer, "aud": self.policy.audience}
        return AccessToken(self.sign(claims, seconds, self.keyring.current()), seconds)

    def _expiry(self) -> datetime:
        return self.clock() + timedelta(days=self.policy.refresh_days)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _invalid_refresh_token() -> Unauthorized:
    return Unauthorized("The refresh token is not valid. Sign in again.")
