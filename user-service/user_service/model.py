"""The values of user-service. The core and the store import this module, which imports neither."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class User:
    """An account. `credential_version` grows with every change of the password."""

    id: str
    email: str
    name: str | None
    phone: str | None
    roles: tuple[str, ...]
    password_hash: str = field(repr=False)
    credential_version: int
    created_at: datetime


@dataclass(frozen=True)
class RefreshTokenFamily:
    """The refresh tokens that follow from one sign-in. Only the newest is valid."""

    id: str
    user_id: str
    token_hash: str = field(repr=False)
    credential_version: int
    expires_at: datetime
    revoked: bool = False


@dataclass(frozen=True)
class AccessToken:
    """A signed access token, and its life in seconds."""

    access_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True)
class TokenPair(AccessToken):
    """An access token, and the refresh token that gets the next pair."""

    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class SigningKey:
    """A private RSA key (PEM) that signs access tokens from `signs_from` on. The newest has the highest `sequence`."""

    id: str
    sequence: int
    pem: str = field(repr=False)
    signs_from: datetime


@dataclass(frozen=True)
class Attempts:
    """The latest attempts under a key, newest first, and until when its address is trusted with its account."""

    times: tuple[datetime, ...] = ()
    trusted_until: datetime | None = None
