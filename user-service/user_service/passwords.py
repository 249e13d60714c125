"""Passwords: hashed with argon2id; common ones are refused."""

import unicodedata
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH, MAX_LENGTH = 8, 128  # NIST SP 800-63B wants at least 8, and at least 64 allowed


class Passwords:
    """Hashes and verifies passwords with the parameters that OWASP recommends: 19 MiB, two passes, one lane."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)
        self._dummy_hash = self._hasher.hash("nobody has this password")

    def hash(self, password: str) -> str:
        """Return the salted hash of a password."""
        return self._hasher.hash(_normalised(password))

    def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether a password matches a hash. Without a hash the answer is False, after the same time."""
        try:
            self._hasher.verify(password_hash or self._dummy_hash, _normalised(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether a hash was made with other parameters than the present ones."""
        return self._hasher.check_needs_rehash(password_hash)


def is_common(password: str) -> bool:
    """Return whether a password is among those that attackers guess first, whatever its case."""
    return _normalised(password).casefold() in _common_passwords()


@cache
def _common_passwords() -> frozenset[str]:
    """Return the commonest passwords of at least 8 characters: Royce Williams' list, as Django ships it, and more."""
    return frozenset(files("user_service").joinpath("common_passwords.txt").read_text("utf-8").splitlines())


def _normalised(password: str) -> str:
    """Return the same text for the same characters, however a keyboard composes them (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
