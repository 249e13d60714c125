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
    """A cache of user-service's public keys. It keeps serving them during an outage of user-service.

    The keys are renewed in the background near the end of their `lifetime` (s). If they are older than that, a request
    waits for new ones, but not right after a failed attempt. A request with an unknown `kid` triggers a fetch, at most
    one every `pause` seconds.
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
        """Return the key with this id, None if it is not published. Raises Unavailable if no key was ever fetched."""
        if kid not in self._keys or self._is_expired():
            self._fetch_now(kid)
        elif self._is_due(self._fetched_at, 0.8 * self._lifetime) and self._is_due(self._tried_at, self._pause):
            self._tried_at = time.monotonic()
            threading.Thread(target=self._try_to_fetch, daemon=True).start()
        if not self._keys:
            raise Unavailable("user-service has published no keys for access tokens yet.", retry_after=int(self._pause))
        return self._keys.get(kid)

    def check(self) -> None:
        """Fetch the keys. Raises Unavailable, or Misconfigured if user-service refuses and no key is cached."""
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
                self._tried_at = time.monotonic()  # afterwards: threads that waited share this failure

    def _is_expired(self) -> bool:
        """Return whether the keys are too old and user-service was not tried recently."""
        return self._is_due(self._fetched_at, self._lifetime) and self._is_due(self._tried_at, 3 * self._pause)

    def _try_to_fetch(self) -> None:
        try:
            self._fetch()
        except Unavailable as exc:
            log.warning("public keys not fetched, the cached ones stay in use: %s", exc.detail)

    def _fetch(self) -> None:
        response = ask("GET", self._url, "JWKS_URL", timeout=self._timeout)
        try:
            keys = {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in response.json()["keys"]}
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} returned no keys. Check JWKS_URL.") from exc
        self._keys, self._fetched_at = keys, time.monotonic()

    @staticmethod
    def _is_due(moment: float, seconds: float) -> bool:
        return time.monotonic() - moment >= seconds
