"""What user-service reads and writes over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from chassis.schemas import Body, Query, Reply, Text, VisibleText
from user_service.emails import MAX_EMAIL_LENGTH, check_email
from user_service.passwords import MAX_LENGTH, MIN_LENGTH
from user_service.phones import check_phone

Email = Annotated[
    Text, Field(max_length=MAX_EMAIL_LENGTH, json_schema_extra={"format": "email"}), AfterValidator(check_email)
]
Phone = Annotated[Text, Field(max_length=40, examples=["+49 170 1234567"]), AfterValidator(check_phone)]
Name = Annotated[VisibleText, Field(max_length=100)]
NewPassword = Annotated[Text, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
GivenPassword = Annotated[Text, Field(max_length=MAX_LENGTH)]
RefreshToken = Annotated[Text, Field(max_length=200)]

TOKEN_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "properties": {"grant_type": {"type": "string", "enum": ["client_credentials"]}},
                "required": ["grant_type"],
            }
        }
    },
}


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

    email: Text = Field(max_length=MAX_EMAIL_LENGTH)
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
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  not a password
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
