"""Access tokens that must open no door: expired ones, and all the ways in which people have forged JWTs."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from pymongo import MongoClient

from tests.e2e.clients import Client
from tests.e2e.shop import Shop
from tests.signing import claims, jwk, private_key

SECONDS_BEYOND_LEEWAY = 95


@dataclass(frozen=True)
class Forger:
    """Knows what anybody can know, the published key and a refresh token; `signing_key` is the shop's true one."""

    kid: str
    published: RSAPublicKey
    refresh_token: str
    signing_key: Any = None

    @cached_property
    def expired(self) -> str:
        """Return a token that was good until a moment ago."""
        return self._truly_signed(exp=int(time.time()) - SECONDS_BEYOND_LEEWAY)

    @cached_property
    def forgeries(self) -> dict[str, str]:
        """Return a token of each kind that can be made here, by what was done to it."""
        makers = {**self._by_anybody(), **(self._by_the_shops_key() if self.signing_key else {})}
        return {name: make() for name, make in makers.items()}

    def _by_anybody(self) -> dict[str, Callable[[], str]]:
        return {
            "alg none": lambda: f"{self._unsigned('none')}.",
            "HS256 with the public key": self._signed_with_the_public_key,
            "another key under the same kid": self._signed_with_another_key,
            "jwk header": lambda: self._signed_with_another_key(jwk=jwk("forger")),
            "jku header": lambda: self._signed_with_another_key(jku="http://127.0.0.1:1/jwks.json"),
            "unknown kid": lambda: self._signed_with_another_key(kid="forger"),
            "refresh token": lambda: self.refresh_token,
        }

    def _by_the_shops_key(self) -> dict[str, Callable[[], str]]:
        return {
            "wrong iss": lambda: self._truly_signed(iss="somebody"),
            "wrong aud": lambda: self._truly_signed(aud="another-shop"),
            "refresh token's type": lambda: self._truly_signed(type="refresh"),
            "no exp": lambda: self._truly_signed(exp=None),
        }

    def _truly_signed(self, **changed: Any) -> str:
        return jwt.encode(_claims(**changed), self.signing_key, algorithm="RS256", headers={"kid": self.kid})

    def _signed_with_another_key(self, **header: Any) -> str:
        headers = {"kid": self.kid, **header}
        return jwt.encode(_claims(), private_key("forger"), algorithm="RS256", headers=headers)

    def _signed_with_the_public_key(self) -> str:
        secret = self.published.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        message = self._unsigned("HS256")
        return f"{message}.{_encoded(hmac.digest(secret, message.encode(), hashlib.sha256))}"

    def _unsigned(self, algorithm: str) -> str:
        header = {"alg": algorithm, "typ": "JWT", "kid": self.kid}
        return f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(_claims()).encode())}"


def forger(shop: Shop, customer: Client) -> Forger:
    """Return a forger; with the shop's true key where its database can be reached."""
    key = requests.get(f"{shop.user_url}/.well-known/jwks.json", timeout=30).json()["keys"][-1]
    published = RSAAlgorithm.from_jwk(key)
    assert isinstance(published, RSAPublicKey)
    return Forger(key["kid"], published, customer.tokens["refresh_token"], _signing_key(shop, key["kid"]))


def _signing_key(shop: Shop, kid: str) -> Any:
    if not shop.mongo_url:
        return None
    with MongoClient[dict[str, Any]](shop.mongo_url) as client:
        return (client.user_service.signing_keys.find_one({"_id": kid}) or {})["pem"]


def _claims(**changed: Any) -> dict[str, Any]:
    return claims(roles=["customer", "admin", "service"], **changed)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
