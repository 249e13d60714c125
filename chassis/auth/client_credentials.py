"""A service's own access token, by the OAuth 2 client credentials grant (RFC 6749, section 4.4)."""

import time
from urllib.parse import quote_plus

from chassis.auth.renewal import Clock, RenewedValue
from chassis.auth.user_service import ask
from chassis.errors import Misconfigured, Unavailable

RETRY_PAUSE = 1.0  # s between two attempts while requests wait for a token


class ClientCredentials:
    """This service's access token. It is renewed in the background after half of its life, to survive an outage."""

    def __init__(
        self, url: str, client_id: str, client_secret: str, *, timeout: float = 1, clock: Clock = time.monotonic
    ) -> None:
        self._url = url
        self._credentials = (quote_plus(client_id), quote_plus(client_secret))  # RFC 6749, section 2.3.1
        self._timeout = timeout
        self._token = RenewedValue("", self._fetch, renew_at=0.5, clock=clock)

    def __call__(self) -> str:
        """Return a valid token. Raises Unavailable if user-service issues none."""
        if self._token.is_expired():
            self._token.renew_if_expired(RETRY_PAUSE)
            if self._token.is_expired():
                raise Unavailable("user-service issued no token to this service.")
        self._token.renew_early("service token")
        return self._token.value

    def check(self) -> None:
        """Make sure that there is a valid token. Raises Unavailable, Misconfigured."""
        self()

    def invalidate(self, token: str) -> None:
        """Stop using a token that was rejected, for example because its signing key was revoked."""
        if token == self._token.value:
            self._token.expire()

    def _fetch(self) -> tuple[str, float]:
        form, settings = {"grant_type": "client_credentials"}, "CLIENT_ID, CLIENT_SECRET and TOKEN_URL"
        response = ask("POST", self._url, settings, form=form, account=self._credentials, timeout=self._timeout)
        try:
            grant = response.json()
            return str(grant["access_token"]), float(grant["expires_in"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Misconfigured(f"{self._url} issued no token. Check TOKEN_URL.") from exc
