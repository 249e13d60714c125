"""What user-service reads and writes over HTTP."""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from chassis.schemas import Body, Query, Reply, Text
from user_service.passwords import LONGEST, SHORTEST

LONGEST_EMAIL = 254  # RFC 5321, 4.5.3.1.3

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(rf"[^\s@<>()\[\],;:\"\\]{{1,64}}@(?:{_LABEL}\.)+{_LABEL}")
_PHONE = re.compile(r"\+[0-9]{5,19}", re.ASCII)


def _check_email(text: str) -> str:
    email = unicodedata.normalize("NFKC", text.strip())
    local, _, _ = email.partition("@")
    if len(email) > LONGEST_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise ValueError("must be an e-mail address")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError("must be an e-mail address")
    return email


def _check_phone(text: str) -> str:
    number = re.sub(r"[\s()./-]", "", text)
    if not _PHONE.fullmatch(number):
        raise ValueError("must be a phone number with its country: + and 5 to 19 digits")
    return number


def _strip(text: str) -> str:
    if not (stripped := text.strip()):
        raise ValueError("must not be empty")
    return stripped


Email = Annotated[
    Text, Field(max_length=LONGEST_EMAIL, json_schema_extra={"format": "email"}), AfterValidator(_check_email)
]
Phone = Annotated[Text, Field(max_length=40, examples=["+49 170 1234567"]), AfterValidator(_check_phone)]
Name = Annotated[Text, Field(max_length=100), AfterValidator(_strip)]
NewPassword = Annotated[Text, Field(min_length=SHORTEST, max_length=LONGEST)]
GivenPassword = Annotated[Text, Field(max_length=LONGEST)]
RefreshToken = Annotated[Text, Field(max_length=200)]


class UserPath(Query):
    """The user that a path names."""

    user_id: str


class RegisterBody(Body):
    """A new account."""

    email: Email
    password: NewPassword
    name: Name | None = None
    phone: Phone | None = None


class LoginBody(Body):
    """The credentials of a user."""

    email: Text = Field(max_length=LONGEST_EMAIL)
    password: GivenPassword


class RefreshBody(Body):
    """A refresh token."""

    refresh_token: RefreshToken


class ProfileBody(Body):
    """The parts of a profile to change; null clears one."""

    name: Name | None = None
    phone: Phone | None = None


class PasswordBody(Body):
    """The current password and the one to take its place."""

    current_password: GivenPassword
    new_password: NewPassword


class RolesBody(Body):
    """The roles that a user is to have. That of services is theirs alone."""

    roles: list[Literal["customer", "admin"]] = Field(min_length=1, max_length=2)


class UserReply(Reply):
    """A user."""

    id: str
    email: str
    name: str | None
    phone: str | None
    roles: list[str]


class UserList(Reply):
    """A page of users."""

    items: list[UserReply]
    next_cursor: str | None


class AccessTokenReply(Reply):
    """An access token; `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class TokenPairReply(AccessTokenReply):
    """An access token, and the refresh token that gets the next one."""

    refresh_token: str


class OAuthError(Reply):
    """An error of OAuth 2 (RFC 6749, section 5.2)."""

    error: Literal["invalid_client", "invalid_request", "unsupported_grant_type"]
    error_description: str


class JwkReply(Reply):
    """A public key (RFC 7517)."""

    kty: str
    use: str
    alg: str
    kid: str
    n: str
    e: str


class JwksReply(Reply):
    """The public keys that verify access tokens."""

    keys: list[JwkReply]
