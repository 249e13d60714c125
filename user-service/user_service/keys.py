"""The keys that sign access tokens, and their rotation.

Keys are numbered. The newest key whose time has come signs. A new key is published at once, but signs only when no
other service can still use an older copy of the published keys. An old key stays published until its last token has
expired. A private key never leaves the service: it is in no log and no reply.
"""

import base64
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from chassis.auth.access import LEEWAY_SECONDS
from chassis.errors import Conflict
from user_service.model import SigningKey

if TYPE_CHECKING:
    from user_service.store import KeyStore

JWKS_CACHE_SECONDS = 300  # the other services fetch the published keys again after this time
CACHE_SECONDS = 5  # each process of this service reads the keys again after this time
UNKNOWN_KEY_CACHE_SECONDS = 1  # and after this time if it is asked for a key that it does not know
PARSED_KEYS = 8  # more than are published at once; parsing a key takes longer than reading it from the database


class RotationUnderWay(Conflict):
    """An earlier rotation has not ended: wait, or revoke the old keys at once if one has leaked."""

    code, title = "rotation-under-way", "Rotation Under Way"


class Keyring:
    """The signing keys, shared by all processes through the database, with a short-lived cache in each process.

    `token_seconds` is the longest life of a token. A keyring is a `chassis.auth.access.KeySource`.
    """

    def __init__(self, store: "KeyStore", clock: Callable[[], datetime], *, token_seconds: int) -> None:
        self._store = store
        self._clock = clock
        self._retention = timedelta(seconds=token_seconds + LEEWAY_SECONDS)
        self._cache: tuple[SigningKey, ...] = ()
        self._cached_at: datetime | None = None

    def ensure_key(self) -> None:
        """Create the first key if there is none. Processes that start together get one key: its number is unique."""
        if not self._store.find_all():
            self._store.add(generate_key(1, self._clock()))

    def current(self) -> SigningKey:
        """Return the key that signs now."""
        keys, now = self._keys(), self._clock()
        return next((key for key in reversed(keys) if key.signs_from <= now), keys[0])

    def public_key(self, kid: str) -> RSAPublicKey | None:
        """Return the published key with this id, or None."""
        for max_age in (CACHE_SECONDS, UNKNOWN_KEY_CACHE_SECONDS):
            for key in self._published(self._keys(max_age)):
                if key.id == kid:
                    return parse_public_key(key)
        return None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the published keys as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [to_jwk(key) for key in self._published(self._keys())]}

    def rotate(self, *, revoke_now: bool = False) -> SigningKey:
        """Add the next key and delete the expired keys; with `revoke_now`, delete all old keys, and sign at once.

        Raises RotationUnderWay, also when another process rotates at the same moment.
        """
        now, keys = self._clock(), self._store.find_all()
        published = self._published(keys)
        if len(published) > 1 and not revoke_now:
            raise RotationUnderWay("An earlier rotation has not ended. If a key has leaked, use --revoke-now.")
        delay = timedelta(seconds=0 if revoke_now else JWKS_CACHE_SECONDS + CACHE_SECONDS)
        key = generate_key(max((key.sequence for key in keys), default=0) + 1, now + delay)
        if not self._store.add(key):
            raise RotationUnderWay("Another process is rotating the keys at this moment.")
        retained = [key] if revoke_now else [*published, key]
        self._store.delete_all_but([key.id for key in retained], up_to=key.sequence)
        self._cached_at = None
        return key

    def schedule(self) -> list[tuple[SigningKey, datetime | None]]:
        """Return the published keys, oldest first, each with the end of its publication (None for the newest)."""
        keys = self._published(self._store.find_all())
        ends = [successor.signs_from + self._retention for successor in keys[1:]]
        return list(zip(keys, [*ends, None], strict=True))

    def _published(self, keys: tuple[SigningKey, ...]) -> list[SigningKey]:
        """Return the keys that are not expired. A key expires when its successor has signed for the life of a token."""
        expired = self._clock() - self._retention
        older = [key for key, successor in zip(keys, keys[1:], strict=False) if successor.signs_from > expired]
        return [*older, *keys[-1:]]

    def _keys(self, max_age: float = CACHE_SECONDS) -> tuple[SigningKey, ...]:
        now = self._clock()
        if self._cached_at is None or now - self._cached_at >= timedelta(seconds=max_age):
            self._cache, self._cached_at = self._store.find_all(), now
        return self._cache


def generate_key(sequence: int, signs_from: datetime) -> SigningKey:
    """Return a new RSA key."""
    pem = generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(uuid.uuid4().hex, sequence, pem.decode(), signs_from)


@lru_cache(PARSED_KEYS)
def parse_private_key(key: SigningKey) -> RSAPrivateKey:
    """Return the key in the form that signs."""
    return cast(RSAPrivateKey, serialization.load_pem_private_key(key.pem.encode(), password=None))


@lru_cache(PARSED_KEYS)
def parse_public_key(key: SigningKey) -> RSAPublicKey:
    """Return the key in the form that verifies."""
    return parse_private_key(key).public_key()


def to_jwk(key: SigningKey) -> dict[str, str]:
    """Return the public half as a JSON Web Key (RFC 7517; RFC 7518, 6.3.1)."""
    numbers = parse_public_key(key).public_numbers()
    modulus, exponent = _base64url(numbers.n), _base64url(numbers.e)
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.id, "n": modulus, "e": exponent}


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).decode().rstrip("=")
