"""A service's own access token, by the OAuth 2 client credentials grant (RFC 6749, section 4.4)."""

import logging
import threading
import time
from urllib.parse import quote_plus

from chassis.auth.user_service import ask
from chassis.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)


class ClientCredentials:
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
        """Return if there is a valid token. Raises Unavailable, Misconfigured."""
        self()

    def invalidate(self, token: str) -> None:
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
        response = ask("POST", self._url, settings, data=form, auth=self._credentials, timeout=self._timeout)
        try:
            granted = response.json()
            self._token, life = str(granted["access_token"]), float(granted["expires_in"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} grants no token. Is TOKEN_URL that of user-service?") from exc
        self._renew_at, self._expires_at = asked_at + life / 2, asked_at + life
