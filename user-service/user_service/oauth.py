"""Token requests by client credentials (OAuth 2.0, RFC 6749): how a client proves itself, and how it is refused."""

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from werkzeug.datastructures import Authorization

FORM = "application/x-www-form-urlencoded"
GRANT_TYPE = "client_credentials"


class TokenRefusal(Exception):
    """A refused token request, in the format of section 5.2."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.error_description = description
        self.status = status
        self.headers = {"WWW-Authenticate": 'Basic realm="user-service"'} if status == 401 else {}


def invalid_client() -> TokenRefusal:
    """Return the refusal of a client that has not proved itself."""
    return TokenRefusal(
        "invalid_client", "The client's id or secret is missing or wrong. Send both by HTTP Basic.", status=401
    )


def basic_credentials(authorization: "Authorization | None") -> tuple[str, str]:
    """Return the client's id and secret, which are form-encoded in HTTP Basic (section 2.3.1). Raises TokenRefusal."""
    if authorization is None or authorization.type != "basic":
        raise invalid_client()
    return unquote_plus(authorization.username or ""), unquote_plus(authorization.password or "")


def check_grant_type(media_type: str, grant_types: list[str]) -> None:
    """Raise TokenRefusal unless a form has one grant type, and it is the supported one."""
    if media_type != FORM or len(grant_types) != 1:
        raise TokenRefusal("invalid_request", "The request needs a form body with one grant_type.")
    if grant_types != [GRANT_TYPE]:
        raise TokenRefusal("unsupported_grant_type", f"The only supported grant_type is {GRANT_TYPE}.")
