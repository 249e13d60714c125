"""What a service gets from user-service: the keys that verify access tokens, and a token of its own."""

import logging
import threading
import time
from typing import Any
from urllib.parse import quote_plus

import jwt
import requests
from jwt.algorithms import RSAAlgorithm

from chassis.errors import Refused, Unavailable

log = logging.getLogger(__name__)


def _ask(method: str, url: str, settings: str, **arguments: Any) -> requests.Response:
    """Return the answer of user-service. Raises Unavailable, and Refused where `settings` must be wrong.

    It is asked directly: a proxy of the environment does not know the stack's names.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(method, url, **arguments)
    except requests.exceptions.SSLError as exc:
        raise Refused(f"The certificate of {url} is not trusted. Check {settings}.") from exc
    except requests.RequestException as exc:
        raise Unavailable(f"{url} does not answer: {type(exc).__name__}.") from exc
    if response.status_code >= 500 or response.status_code == requests.codes.too_many_requests:
        raise Unavailable(f"{url} answers {response.status_code}.")
    if response.status_code != requests.codes.ok:
        raise Refused(f"{url} answers {response.status_code}. Check {settings}.")
    return response


class RemoteKeys:
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
        if kid not in self._keys or self._is_outlived():
            self._fetch_now(kid)
        elif self._is_due(self._fetched_at, 0.8 * self._lifetime) and self._is_due(self._tried_at, self._pause):
            self._tried_at = time.monotonic()
            threading.Thread(target=self._try_to_fetch, daemon=True).start()
        if not self._keys:
            raise Unavailable("The keys that verify access tokens cannot be fetched.", retry_after=int(self._pause))
        return self._keys.get(kid)

    def check(self) -> None:
        """Return if user-service publishes its keys. Raises Unavailable; Refused while there never were any."""
        try:
            self._fetch()
        except Refused as exc:
            if self._keys:
                raise Unavailable(exc.detail) from exc
            raise

    def _fetch_now(self, kid: str) -> None:
        with self._fetching:
            unknown = kid not in self._keys and self._is_due(self._tried_at, self._pause if self._keys else 1)
            if unknown or self._is_outlived():
                self._try_to_fetch()
                self._tried_at = time.monotonic()  # after it: who waited for this attempt shares its failure

    def _is_outlived(self) -> bool:
        """Tell whether the keys are too old, and not because user-service is away."""
        return self._is_due(self._fetched_at, self._lifetime) and self._is_due(self._tried_at, 3 * self._pause)

    def _try_to_fetch(self) -> None:
        try:
            self._fetch()
        except Unavailable as exc:
            log.warning("cannot fetch keys: %s", exc.detail)

    def _fetch(self) -> None:
        response = _ask("GET", self._url, "JWKS_URL", timeout=self._timeout)
        try:
            keys = {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in response.json()["keys"]}
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as exc:
            raise Refused(f"{self._url} answers no keys. Is JWKS_URL that of user-service?") from exc
        self._keys, self._fetched_at = keys, time.monotonic()

    @staticmethod
    def _is_due(moment: float, seconds: float) -> bool:
        return time.monotonic() - moment >= seconds


class ServiceToken:
    """This service's own access token, from user-service by client credentials (RFC 6749, section 4.4).

    It is renewed in the background from half of its life on, so that it outlives an outage of user-service.
    """

    def __init__(self, url: str, client_id: str, client_secret: str, *, timeout: float = 1) -> None:
        self._url = url
        self._credentials = (quote_plus(client_id), quote_plus(client_secret))  # RFC 6749, section 2.3.1
        self._timeout = timeout
        self._fetching = threading.Lock()
        self._token = ""
        self._renew_at = self._expires_at = self._tried_at = float("-inf")

    def __call__(self) -> str:
        """Return a valid token. Raises Unavailable if none can be had."""
        now = time.monotonic()
        if now >= self._expires_at:
            self._fetch_now()
        elif now >= self._renew_at and now - self._tried_at >= 10 and self._fetching.acquire(blocking=False):
            self._tried_at = now
            threading.Thread(target=self._renew, daemon=True).start()
        return self._token

    def check(self) -> None:
        """Return if there is a valid token. Raises Unavailable, Refused."""
        self()

    def forget(self, token: str) -> None:
        """Use a token no more that was refused, as after the revocation of the key that signed it."""
        if token == self._token:
            self._expires_at = float("-inf")

    def _fetch_now(self) -> None:
        """Fetch a token; threads that waited for another one's attempt share its failure."""
        with self._fetching:
            if time.monotonic() < self._expires_at:
                return
            if time.monotonic() - self._tried_at < 1:
                raise Unavailable("No service token from user-service.")
            try:
                self._fetch()
            finally:
                self._tried_at = time.monotonic()

    def _renew(self) -> None:
        try:
            self._fetch()
        except Unavailable as exc:
            log.warning("cannot renew the service token: %s", exc.detail)
        finally:
            self._fetching.release()

    def _fetch(self) -> None:
        asked_at = time.monotonic()
        form, settings = {"grant_type": "client_credentials"}, "CLIENT_ID, CLIENT_SECRET and TOKEN_URL"
        response = _ask("POST", self._url, settings, data=form, auth=self._credentials, timeout=self._timeout)
        try:
            granted = response.json()
            self._token, life = str(granted["access_token"]), float(granted["expires_in"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Refused(f"{self._url} grants no token. Is TOKEN_URL that of user-service?") from exc
        self._renew_at, self._expires_at = asked_at + life / 2, asked_at + life
