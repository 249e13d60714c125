"""The keys that sign access tokens, and their rotation.

Keys have an increasing sequence. The newest one whose time has come signs. A new one is published for as long as
others may use an old copy of the published keys before its time comes; an old one stays published until its last token
has expired. Private keys never leave the service: not in logs, not in replies.
"""

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from chassis.auth.access import LEEWAY_SECONDS
from chassis.errors import Conflict

if TYPE_CHECKING:
    from user_service.store import KeyStore

JWKS_SECONDS = 300  # how long others use their copy of the published keys
CACHE_SECONDS = 5  # how long each process of this service uses its own
UNKNOWN_KEY_PAUSE = 1  # seconds between looks for keys that are not in the copy


class RotationUnderWay(Conflict):
    """An earlier rotation has not ended: wait, or revoke the old keys at once if one has leaked."""

    code, title = "rotation-under-way", "Rotation Under Way"


@dataclass(frozen=True)
class SigningKey:
    """An RSA key with the moment from which on it signs."""

    id: str
    sequence: int
    pem: str = field(repr=False)
    signs_from: datetime

    @cached_property
    def private_key(self) -> RSAPrivateKey:
        """Return the key that signs."""
        return cast(RSAPrivateKey, serialization.load_pem_private_key(self.pem.encode(), password=None))

    @cached_property
    def public_key(self) -> RSAPublicKey:
        """Return the key that verifies."""
        return self.private_key.public_key()

    @cached_property
    def jwk(self) -> dict[str, str]:
        """Return the public key as JSON Web Key (RFC 7517, RFC 7518 section 6.3.1)."""
        numbers = self.public_key.public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": _encoded(numbers.n),
            "e": _encoded(numbers.e),
        }


class Keyring:
    """The signing keys of all processes, in the database, with a short copy in this process.

    `token_seconds` is the longest life of a token. Is a `chassis.auth.access.KeySource`.
    """

    def __init__(self, keys: "KeyStore", clock: Callable[[], datetime], *, token_seconds: int) -> None:
        self._store = keys
        self._clock = clock
        self._outlived_after = timedelta(seconds=token_seconds + LEEWAY_SECONDS)
        self._copy: tuple[SigningKey, ...] = ()
        self._copied_at: datetime | None = None

    def prepare(self) -> None:
        """Make the first key if there is none. Of several processes that do so at once, one makes it."""
        if not self._store.find_all():
            self._store.add(new_key(1, self._clock()))

    def current(self) -> SigningKey:
        """Return the key that signs now."""
        keys, now = self._keys(), self._clock()
        return next((key for key in reversed(keys) if key.signs_from <= now), keys[0])

    def public_key(self, kid: str) -> RSAPublicKey | None:
        """Return the public key of that id, None if it is not published."""
        for age in (CACHE_SECONDS, UNKNOWN_KEY_PAUSE):
            for key in self._published(self._keys(age)):
                if key.id == kid:
                    return key.public_key
        return None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the published keys as JSON Web Key Set (RFC 7517)."""
        return {"keys": [key.jwk for key in self._published(self._keys())]}

    def rotate(self, *, revoke_now: bool = False) -> SigningKey:
        """Add the next key and delete those that are outlived; `revoke_now` makes it sign, and deletes the others.

        Raises RotationUnderWay, also when another process rotates at the same moment.
        """
        now = self._clock()
        keys = self._store.find_all()
        if len(self._published(keys)) > 1 and not revoke_now:
            raise RotationUnderWay(
                "An earlier rotation has not ended. A key that has leaked is revoked with --revoke-now."
            )
        wait = timedelta() if revoke_now else timedelta(seconds=JWKS_SECONDS + CACHE_SECONDS)
        key = new_key(max((key.sequence for key in keys), default=0) + 1, now + wait)
        if not self._store.add(key):
            raise RotationUnderWay("Another process is rotating the keys at this moment.")
        kept = (key,) if revoke_now else (*self._published(keys), key)
        self._store.delete_all_but([key.id for key in kept], up_to=key.sequence)
        self._copied_at = None
        return key

    def schedule(self) -> list[tuple[SigningKey, datetime | None]]:
        """Return the published keys, oldest first, each with the end of its publication, None for the newest."""
        keys = self._published(self._store.find_all())
        ends = [successor.signs_from + self._outlived_after for successor in keys[1:]]
        return list(zip(keys, [*ends, None], strict=True))

    def _published(self, keys: tuple[SigningKey, ...]) -> list[SigningKey]:
        outlived = self._clock() - self._outlived_after
        return [
            key
            for key, successor in zip(keys, (*keys[1:], None), strict=True)
            if successor is None or successor.signs_from > outlived
        ]

    def _keys(self, age: float = CACHE_SECONDS) -> tuple[SigningKey, ...]:
        now = self._clock()
        if self._copied_at is None or now - self._copied_at >= timedelta(seconds=age):
            parsed = {key.id: key for key in self._copy}  # parsing a key takes longer than reading it
            self._copy = tuple(parsed.get(key.id, key) for key in self._store.find_all())
            self._copied_at = now
        return self._copy


def new_key(sequence: int, signs_from: datetime) -> SigningKey:
    """Make a key."""
    private_key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(uuid.uuid4().hex, sequence, pem.decode(), signs_from)


def _encoded(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).decode().rstrip("=")
