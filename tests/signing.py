"""Access tokens for tests, signed by a key of their own."""

import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

ISSUER, AUDIENCE, KID = "user-service", "shop", "test-key"


def private_key(name: str = KID) -> RSAPrivateKey:
    """Return a key, always the same one for a name."""
    return _generated(name)


@cache
def _generated(_name: str) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


class PublishedKeys:
    """The key source of a service under test: it knows the one key of `private_key()`."""

    def public_key(self, kid: str) -> RSAPublicKey | None:
        return private_key().public_key() if kid == KID else None

    def check(self) -> None:
        """Say that user-service is there."""


def jwk(kid: str = KID) -> dict[str, Any]:
    """Return the public half of a key as a JSON Web Key."""
    return {**RSAAlgorithm.to_jwk(private_key(kid).public_key(), as_dict=True), "kid": kid, "use": "sig"}


def jwks(*kids: str) -> dict[str, Any]:
    """Return a JSON Web Key Set."""
    return {"keys": [jwk(kid) for kid in kids or (KID,)]}


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a valid token; a change to None leaves the claim out."""
    now = int(time.time())
    valid = {"sub": "user-1", "email": "ana@example.com", "roles": ["customer"], "iss": ISSUER, "aud": AUDIENCE}
    merged = {**valid, "iat": now, "exp": now + 900, **changed}
    return {name: value for name, value in merged.items() if value is not None}


def token(*roles: str, user: str = "user-1", **changed: Any) -> str:
    """Return a valid token with these roles."""
    return jwt.encode(
        claims(sub=user, roles=list(roles), **changed), private_key(), algorithm="RS256", headers={"kid": KID}
    )


def bearer(*roles: str, user: str = "user-1") -> dict[str, str]:
    """Return the header of somebody with these roles."""
    return {"Authorization": f"Bearer {token(*roles, user=user)}"}
