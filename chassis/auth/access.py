"""Authentication by access tokens (JWT, RFC 7519), and authorization: every route declares which roles may use it.

A route is marked with `public` or `requires(...)`; a route without a mark is closed. The access check is the
first check of a request, so that no validation error describes a closed route.
"""

import hashlib
import logging
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
LEEWAY_SECONDS = 90  # the clocks of machines differ
CACHE_SIZE = 10_000  # tokens; an entry takes about half a kilobyte

_CREDENTIALS = re.compile(r"bearer +([0-9A-Za-z._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1; the scheme: RFC 9110, 11.1

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Identity:
    """The caller, from the claims of the access token."""

    id: str
    roles: frozenset[str]
    email: str | None = None
    phone: str | None = None

    @property
    def is_admin(self) -> bool:
        """Return whether the caller is an administrator."""
        return ADMIN in self.roles


class KeySource(Protocol):
    """The public keys that verify tokens: a `JwksClient`, or user-service's own keyring."""

    def public_key(self, kid: str) -> Any:
        """Return the RSA public key with this id, None if there is none. May raise Unavailable."""


@dataclass(frozen=True)
class VerifiedToken:
    """The result of a verification: the caller, the key that signed the token, and its expiry (seconds since 1970)."""

    identity: Identity
    kid: str
    key: Any
    expires_at: float


class TokenVerifier:
    """Verifies access tokens, and caches the results: a verification costs more than most routes.

    The cache holds digests, not tokens. An entry is valid until the token expires, and while its key is published.
    """

    def __init__(self, keys: KeySource, *, cache_size: int = CACHE_SIZE) -> None:
        self._keys = keys
        self._cache_size = cache_size
        self._cache: dict[bytes, VerifiedToken] = {}

    def identity(self, token: str) -> Identity:
        """Return the caller whom a token identifies. Raises Unauthorized, Unavailable."""
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._cache.get(digest)
        if verified is None or not self._is_valid(verified):
            verified = self._verify(token)
            if len(self._cache) >= self._cache_size:
                self._cache = {}  # rare; the tokens in use come back with their next request
            self._cache[digest] = verified
        return verified.identity

    def _is_valid(self, verified: VerifiedToken) -> bool:
        is_expired = time.time() >= verified.expires_at + LEEWAY_SECONDS
        return not is_expired and self._keys.public_key(verified.kid) == verified.key

    def _verify(self, token: str) -> VerifiedToken:
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"  # the only spelling that flask-jwt-extended reads
        try:
            header, claims = verify_jwt_in_request() or ({}, {})
        except (JWTExtendedException, jwt.PyJWTError, ValueError) as exc:
            raise Unauthorized(f"A valid access token is needed: {exc}") from exc
        roles = claims.get("roles")
        if not isinstance(roles, list) or not isinstance(claims.get("sub"), str) or "exp" not in claims:
            raise Unauthorized("The access token lacks one of the claims sub, roles and exp.")
        identity = Identity(claims["sub"], frozenset(map(str, roles)), claims.get("email"), claims.get("phone"))
        return VerifiedToken(identity, str(header.get("kid")), g.signing_key, float(claims["exp"]))

    def signing_key(self, header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Any:
        """Return the public key that a token's header names. Raises Unauthorized, Unavailable."""
        key = self._keys.public_key(str(header.get("kid")))
        if key is None:
            raise Unauthorized("The access token was signed with an unknown key.")
        g.signing_key = key  # of this verification; another key with this id may be published a moment later
        return key


def public(view: View) -> View:
    """Open a route to everybody."""
    view.__dict__["allowed_roles"] = frozenset()
    return view


def requires(*roles: str) -> Callable[[View], View]:
    """Open a route to callers with one of these roles."""

    def mark(view: View) -> View:
        view.__dict__["allowed_roles"] = frozenset(roles)
        return view

    return mark


def allowed_roles(view: Callable[..., Any]) -> frozenset[str] | None:
    """Return the roles that may use a route: an empty set for a public one, None for one without a mark."""
    return cast("frozenset[str] | None", getattr(view, "allowed_roles", None))


def init_app(app: App, keys: KeySource, *, issuer: str, audience: str) -> None:
    """Verify RS256 access tokens of this issuer and audience on every route that `requires` a role."""
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_DECODE_ALGORITHMS=["RS256"],
        JWT_DECODE_ISSUER=issuer,
        JWT_DECODE_AUDIENCE=audience,
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_TOKEN_LOCATION=["headers"],
    )
    verifier = TokenVerifier(keys)
    JWTManager(app).decode_key_loader(verifier.signing_key)
    app.extensions["token_verifier"] = verifier
    app.checks.insert(0, authenticate)


def authenticate(view: Callable[..., Any]) -> None:
    """Check the caller's token and role against the route. Raises Unauthorized, Forbidden or Unavailable."""
    roles = allowed_roles(view)
    if roles is None:
        logging.getLogger(current_app.name).error("route %s has no access rule: mark it with @requires", view.__name__)
        raise Forbidden("This route has no access rule.")
    if not roles:  # a public route
        return
    credentials = _CREDENTIALS.fullmatch(request.headers.get("Authorization", "").strip())
    if credentials is None:
        raise Unauthorized("A valid access token is needed, as `Authorization: Bearer TOKEN`.")
    g.identity = current_app.extensions["token_verifier"].identity(credentials[1])
    if not roles & g.identity.roles:
        raise Forbidden("Your role does not allow this.")


def caller() -> Identity:
    """Return the caller of the current request. The route must require a role."""
    return cast(Identity, g.identity)


def own_only() -> str | None:
    """Return the id of the only user whose resources the caller may see, None for an administrator, who sees all."""
    return None if caller().is_admin else caller().id


def listed_owner(user_id: str | None) -> str | None:
    """Return the id of the user whose resources a list shows, None for all. Raises Forbidden for another user."""
    if user_id not in (None, caller().id) and not caller().is_admin:
        raise Forbidden("Only an administrator may list the resources of other users.")
    return own_only() if user_id is None else user_id
