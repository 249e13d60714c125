"""Who is calling: access tokens are verified, and every route states who may use it.

A route is marked with `public` or `requires(...)`; one that is not marked cannot be served. The check runs before
anything else of a request, so that nobody learns from a validation error what is behind a closed door.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import jwt
from flask import current_app, g, request
from flask_jwt_extended import JWTManager, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException

from chassis.errors import Forbidden, Unauthorized
from chassis.web.app import App

CUSTOMER, ADMIN, SERVICE = "customer", "admin", "service"
LEEWAY_SECONDS = 90
TOKENS_KEPT = 10_000

_CREDENTIALS = re.compile(r"bearer +([0-9A-Za-z._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1; the scheme: RFC 9110, 11.1

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Identity:
    """The caller, as the access token tells."""

    id: str
    roles: frozenset[str]
    email: str | None = None
    phone: str | None = None

    @property
    def is_admin(self) -> bool:
        """Tell whether the caller is an administrator."""
        return ADMIN in self.roles


class KeySource(Protocol):
    """Where the public keys come from: a `chassis.auth.jwks.JwksClient`, or user-service's own store."""

    def public_key(self, kid: str) -> Any:
        """Return the RSA public key of that id, None if there is none. May raise Unavailable."""


@dataclass(frozen=True)
class CachedIdentity:
    """Who a valid token belongs to, the key it is signed with, and when it expires (seconds since 1970)."""

    identity: Identity
    kid: str
    key: Any
    expires_at: float


class TokenCache:
    """Remembers tokens that were found to be valid: checking one costs more than most of what it guards.

    A token is known no longer than it is valid, and only while its key is published. What is kept is its digest. When
    there are too many, all are forgotten.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._known: dict[bytes, CachedIdentity] = {}

    def find(self, token: str) -> Identity | None:
        """Return whose token it is, None if it must be verified. Raises Unavailable."""
        known = self._known.get(_digest(token))
        if known is None or time.time() >= known.expires_at + LEEWAY_SECONDS:
            return None
        return known.identity if self._keys.public_key(known.kid) == known.key else None

    def add(self, token: str, verified: CachedIdentity) -> None:
        """Remember a token."""
        if len(self._known) >= TOKENS_KEPT:
            self._known = {}
        self._known[_digest(token)] = verified


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def public(view: View) -> View:
    """Let everybody use this route."""
    view.__dict__["allowed_roles"] = frozenset()
    return view


def requires(*roles: str) -> Callable[[View], View]:
    """Let only callers with one of these roles use this route."""

    def mark(view: View) -> View:
        view.__dict__["allowed_roles"] = frozenset(roles)
        return view

    return mark


def allowed_roles(view: Callable[..., Any]) -> frozenset[str] | None:
    """Return the roles a route is open to, an empty set for a public one, None for one that is not marked."""
    return cast("frozenset[str] | None", getattr(view, "allowed_roles", None))


def init_app(app: App, keys: KeySource, *, issuer: str, audience: str) -> None:
    """Verify RS256 access tokens of this issuer and audience at every route that `requires` a role."""
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_DECODE_ALGORITHMS=["RS256"],
        JWT_DECODE_ISSUER=issuer,
        JWT_DECODE_AUDIENCE=audience,
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_TOKEN_LOCATION=["headers"],
    )

    def find_key(header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Any:
        g.kid = str(header.get("kid"))
        g.key = keys.public_key(g.kid)
        if g.key is None:
            raise Unauthorized("The access token was signed with an unknown key.")
        return g.key

    JWTManager(app).decode_key_loader(find_key)
    app.extensions["verified_tokens"] = TokenCache(keys)
    app.checks.insert(0, authenticate)


def authenticate(view: Callable[..., Any]) -> None:
    """Let the request pass if its route is open to the caller. Raises Unauthorized or Forbidden."""
    roles = allowed_roles(view)
    if roles is None:
        raise Forbidden("This route states nobody who may use it.")
    if not roles:
        return
    g.identity = _identity()
    if not roles & g.identity.roles:
        raise Forbidden("Your role does not allow this.")


def caller() -> Identity:
    """Return who makes the current request; only on routes that require a role."""
    return cast(Identity, g.identity)


def _identity() -> Identity:
    credentials = _CREDENTIALS.fullmatch(request.headers.get("Authorization", "").strip())
    if credentials is None:
        raise Unauthorized("A valid access token is needed, as `Authorization: Bearer TOKEN`.")
    token = credentials[1]
    verified = cast(TokenCache, current_app.extensions["verified_tokens"])
    identity = verified.find(token)
    if identity is None:
        identity, expires_at = _verify(token)
        verified.add(token, CachedIdentity(identity, g.kid, g.key, expires_at))
    return identity


def _verify(token: str) -> tuple[Identity, float]:
    """Return the caller and when the token expires. Raises Unauthorized, Unavailable."""
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"  # as flask-jwt-extended spells it
    try:
        verified = verify_jwt_in_request()
    except (JWTExtendedException, jwt.PyJWTError, ValueError) as exc:
        raise Unauthorized(f"A valid access token is needed: {exc}") from exc
    claims = verified[1] if verified else {}
    roles = claims.get("roles")
    if not isinstance(roles, list) or not isinstance(claims.get("sub"), str) or "exp" not in claims:
        raise Unauthorized("The access token lacks its claims.")
    identity = Identity(claims["sub"], frozenset(map(str, roles)), claims.get("email"), claims.get("phone"))
    return identity, float(claims["exp"])
