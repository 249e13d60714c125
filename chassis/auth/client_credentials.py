"""A service's own access token, by the OAuth 2 client credentials grant (RFC 6749, section 4.4)."""

import logging
import threading
import time
from urllib.parse import quote_plus

from chassis.auth.user_service import ask
from chassis.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)


class ClientCredentials:
    """This service's access token. It is renewed in the background after half of its life, to survive an outage."""

    def __init__(self, url: str, client_id: str, client_secret: str, *, timeout: float = 1) -> None:
        self._url = url
        self._credentials = (quote_plus(client_id), quote_plus(client_secret))  # RFC 6749, section 2.3.1
        self._timeout = timeout
        self._fetching = threading.Lock()
        self._token = ""
        self._renew_at = self._expires_at = self._tried_at = float("-inf")

    def __call__(self) -> str:
        """Return a valid token. Raises Unavailable if user-service issues none."""
        now = time.monotonic()
        if now >= self._expires_at:
            self._fetch_now()
        elif now >= self._renew_at and now - self._tried_at >= 10 and self._fetching.acquire(blocking=False):
            self._tried_at = now
            threading.Thread(target=self._renew, daemon=True).start()
        return self._token

    def check(self) -> None:
        """Make sure that there is a valid token. Raises Unavailable, Misconfigured."""
        self()

    def invalidate(self, token: str) -> None:
        """Stop using a token that was rejected, for example because its signing key was revoked."""
        if token == self._token:
            self._expires_at = float("-inf")

    def _fetch_now(self) -> None:
        """Fetch a token. Threads that waited for the attempt of another thread share its failure."""
        with self._fetching:
            if time.monotonic() < self._expires_at:
                return
            if time.monotonic() - self._tried_at < 1:
                raise Unavailable("user-service issued no token to this service.")
            try:
                self._fetch()
            finally:
                self._tried_at = time.monotonic()

    def _renew(self) -> None:
        try:
            self._fetch()
        except Unavailable as exc:
            log.warning("service token not renewed, the old one stays in use: %s", exc.detail)
        finally:
            self._fetching.release()

    def _fetch(self) -> None:
        requested_at = time.monotonic()
        form, settings = {"grant_type": "client_credentials"}, "CLIENT_ID, CLIENT_SECRET and TOKEN_URL"
        response = ask("POST", self._url, settings, data=form, auth=self._credentials, timeout=self._timeout)
        try:
            grant = response.json()
            self._token, life = str(grant["access_token"]), float(grant["expires_in"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} issued no token. Check TOKEN_URL.") from exc
        self._renew_at, self._expires_at = requested_at + life / 2, requested_at + life
