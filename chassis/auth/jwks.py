"""The public keys that verify access tokens, from user-service's JWKS (RFC 7517)."""

import logging
import threading
import time
from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm

from chassis.auth.user_service import ask
from chassis.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)


class JwksClient:
    """The public keys of user-service (JWKS, RFC 7517), cached, and used on while it is away.

    They are fetched again in the background towards the end of their `lifetime` (s). A request that finds them older
    waits for them, unless user-service was asked in vain just before; one with an unknown `kid` does so at most every
    `pause` seconds.
    """

    def __init__(self, url: str, *, lifetime: float = 300, pause: float = 10, timeout: float = 1) -> None:
        self._url = url
        self._lifetime = lifetime
        self._pause = pause
        self._timeout = timeout
        self._fetching = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def public_key(self, kid: str) -> Any:
        """Return the key of that id, None if it is not published. Raises Unavailable if none was ever fetched."""
        if kid not in self._keys or self._is_expired():
            self._fetch_now(kid)
        elif self._is_due(self._fetched_at, 0.8 * self._lifetime) and self._is_due(self._tried_at, self._pause):
            self._tried_at = time.monotonic()
            threading.Thread(target=self._try_to_fetch, daemon=True).start()
        if not self._keys:
            raise Unavailable("The keys that verify access tokens cannot be fetched.", retry_after=int(self._pause))
        return self._keys.get(kid)

    def check(self) -> None:
        """Return if user-service publishes its keys. Raises Unavailable; Misconfigured while there never were any."""
        try:
            self._fetch()
        except Misconfigured as exc:
            if self._keys:
                raise Unavailable(exc.detail) from exc
            raise

    def _fetch_now(self, kid: str) -> None:
        with self._fetching:
            unknown = kid not in self._keys and self._is_due(self._tried_at, self._pause if self._keys else 1)
            if unknown or self._is_expired():
                self._try_to_fetch()
                self._tried_at = time.monotonic()  # after it: who waited for this attempt shares its failure

    def _is_expired(self) -> bool:
        """Tell whether the keys are too old, and not because user-service is away."""
        return self._is_due(self._fetched_at, self._lifetime) and self._is_due(self._tried_at, 3 * self._pause)

    def _try_to_fetch(self) -> None:
        try:
            self._fetch()
        except Unavailable as exc:
            log.warning("cannot fetch keys: %s", exc.detail)

    def _fetch(self) -> None:
        response = ask("GET", self._url, "JWKS_URL", timeout=self._timeout)
        try:
            keys = {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in response.json()["keys"]}
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} answers no keys. Is JWKS_URL that of user-service?") from exc
        self._keys, self._fetched_at = keys, time.monotonic()

    @staticmethod
    def _is_due(moment: float, seconds: float) -> bool:
        return time.monotonic() - moment >= seconds
