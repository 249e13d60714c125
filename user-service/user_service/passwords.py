"""Passwords: hashed with argon2id, and the commonest ones refused."""

import unicodedata
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 8, 128


class Passwords:
    """Hash and verify passwords with the parameters that OWASP recommends: 19 MiB, two passes, one lane."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)
        self._nobodys = self._hasher.hash("the password of nobody")

    def hash(self, password: str) -> str:
        """Return the hash of a password, with a salt of its own."""
        return self._hasher.hash(_normalised(password))

    def verify(self, password: str, password_hash: str | None) -> bool:
        """Tell whether a password is the one of a hash; without a hash take the same time to say no."""
        try:
            self._hasher.verify(password_hash or self._nobodys, _normalised(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)


def is_common(password: str) -> bool:
    """Tell whether a password is among those that are guessed first, whatever its case."""
    return _normalised(password).casefold() in _common()


@cache
def _common() -> frozenset[str]:
    """Return the commonest passwords of at least 8 characters: Royce Williams' list, as Django ships it, and more."""
    return frozenset(files("user_service").joinpath("common_passwords.txt").read_text("utf-8").splitlines())


def _normalised(password: str) -> str:
    """Return the same text for the same characters, however a keyboard composes them (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
