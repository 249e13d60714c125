"""The public keys that verify access tokens, from user-service's JWKS (RFC 7517)."""

import logging
import time
from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm

from chassis.auth.renewal import Clock, RenewedValue
from chassis.auth.user_service import ask
from chassis.errors import Misconfigured, Unavailable
from chassis.telemetry import metrics

FETCHES = metrics.ByLabel(
    metrics.counter("shop_jwks_fetches_total", "Fetches of user-service's public keys.", ["outcome"]),
    "fetched",
    "failed",
)
LIFETIME = 300.0  # s; user-service publishes a new key for at least this time before it signs with it
UNKNOWN_KEY_PAUSE = 10.0  # s between two fetches for an unknown key id, which anybody can put into a token
FIRST_KEYS_PAUSE = 1.0  # s between two fetches while there are no keys at all
OUTAGE_PAUSE = 30.0  # s between two fetches that requests wait for in an outage; the background renewal goes on

log = logging.getLogger(__name__)


class JwksClient:
    """A cache of user-service's public keys. During an outage of user-service, expired keys stay in use.

    A request waits for new keys if its key id is unknown, or if the keys expired while nobody used them.
    """

    def __init__(self, url: str, *, timeout: float = 1, clock: Clock = time.monotonic) -> None:
        self._url = url
        self._timeout = timeout
        self._keys = RenewedValue[dict[str, Any]]({}, self._fetch, renew_at=0.8, clock=clock)

    def public_key(self, kid: str) -> Any:
        """Return the key with this id, None if it is not published. Raises Unavailable if no key was ever fetched."""
        keys = self._keys
        if kid not in keys.value:
            self._renew_now(UNKNOWN_KEY_PAUSE if keys.value else FIRST_KEYS_PAUSE)
        elif keys.is_expired():
            self._renew_now(OUTAGE_PAUSE)
        keys.renew_early("public keys")
        if not keys.value:
            raise Unavailable("user-service has published no keys for access tokens yet.", retry_after=10)
        return keys.value.get(kid)

    def check(self) -> None:
        """Fetch the keys. Raises Unavailable, or Misconfigured if user-service refuses and no key is cached."""
        try:
            self._keys.renew()
        except Misconfigured as exc:
            if self._keys.value:
                raise Unavailable(exc.detail) from exc
            raise

    def _renew_now(self, pause: float) -> None:
        try:
            self._keys.renew_unless_tried_within(pause)
        except Unavailable as exc:
            log.warning("public keys not fetched: %s", exc.detail)

    def _fetch(self) -> tuple[dict[str, Any], float]:
        try:
            keys = self._ask()
        except Unavailable:
            FETCHES["failed"].inc()
            raise
        FETCHES["fetched"].inc()
        return keys, LIFETIME

    def _ask(self) -> dict[str, Any]:
        response = ask("GET", self._url, "JWKS_URL", timeout=self._timeout)
        try:
            return {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in response.json()["keys"]}
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} returned no keys. Check JWKS_URL.") from exc
