"""The HTTP input and output of user-service. The examples show in /docs."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from chassis.schemas import PRINTABLE, VISIBLE, Body, Query, Reply, Text
from user_service.emails import MAX_EMAIL_LENGTH, check_email
from user_service.oauth import FORM, GRANT_TYPE
from user_service.passwords import MAX_LENGTH, MIN_LENGTH
from user_service.phones import check_phone


def example(value: Any, **constraints: Any) -> Any:
    """Return a field with an example in /docs. (flask-openapi3 drops pydantic's `examples`.)"""

    def show(schema: dict[str, Any]) -> None:
        schema["example"] = value
        schema.pop("default", None)  # Swagger UI would show it instead of the example

    return Field(json_schema_extra=show, **constraints)


USER_ID, EMAIL, NAME, PHONE = "5e0c6a1f4b7d4e0f9a3b2c1d0e9f8a7b", "ada@example.com", "Ada Lovelace", "+491701234567"
JWT, REFRESH_TOKEN = "eyJhbGciOiJSUzI1NiIs...", "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d.Zk3vU1mXw0a9"

Email = Annotated[
    str,
    Field(max_length=MAX_EMAIL_LENGTH, json_schema_extra={"format": "email", "example": EMAIL}),
    PRINTABLE,
    AfterValidator(check_email),
]
Phone = Annotated[str, Field(max_length=40), PRINTABLE, AfterValidator(check_phone)]
Name = Annotated[str, Field(max_length=100), VISIBLE]
NewPassword = Annotated[str, example("correct horse battery", min_length=MIN_LENGTH, max_length=MAX_LENGTH), PRINTABLE]
CurrentPassword = Annotated[str, example("admin-password", max_length=MAX_LENGTH), PRINTABLE]


class UserPath(Query):
    """The user that a path names."""

    user_id: str = example(USER_ID)


class RegisterBody(Body):
    """A new account."""

    email: Email
    password: NewPassword
    name: Name | None = example(NAME, default=None)
    phone: Phone | None = example("+49 170 1234567", default=None)


class ProfileBody(Body):
    """The fields of a profile; null clears a field."""

    name: Name | None = example(NAME, default=None)
    phone: Phone | None = example("+49 170 1234567", default=None)


class LoginBody(Body):
    """The credentials of a user; by example those of the demo administrator."""

    email: Text = example("admin@example.com", max_length=MAX_EMAIL_LENGTH)
    password: CurrentPassword


class RefreshBody(Body):
    """A refresh token."""

    refresh_token: Text = example(REFRESH_TOKEN, max_length=200)


class PasswordBody(Body):
    """The current password and its successor."""

    current_password: CurrentPassword
    new_password: NewPassword


class RolesBody(Body):
    """The new roles of a user. The role `service` is only for services."""

    roles: list[Literal["customer", "admin"]] = example(["customer", "admin"], min_length=1, max_length=2)


class UserReply(Reply):
    """A user."""

    id: str = example(USER_ID)
    email: str = example(EMAIL)
    name: str | None = example(NAME)
    phone: str | None = example(PHONE)
    roles: list[str] = example(["customer"])


class UserList(Reply):
    """A page of users; `next_cursor` leads to the next page."""

    items: list[UserReply]
    next_cursor: str | None = example("WyItY3JlYXRlZF9hdCwtX2lkIl0")


class AccessTokenReply(Reply):
    """An access token; `expires_in` is in seconds."""

    access_token: str = example(JWT)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  not a password
    expires_in: int = example(900)


class TokenPairReply(AccessTokenReply):
    """An access token, and the refresh token that gets the next pair."""

    refresh_token: str = example(REFRESH_TOKEN)


class OAuthError(Reply):
    """An error of OAuth 2.0 (RFC 6749, 5.2)."""

    error: Literal["invalid_client", "invalid_request", "unsupported_grant_type"]
    error_description: str = example("The client's id or secret is missing or wrong. Send both by HTTP Basic.")


class JwkReply(Reply):
    """A public key (RFC 7517)."""

    kty: str = example("RSA")
    use: str = example("sig")
    alg: str = example("RS256")
    kid: str = example("1c7a4d0e9f5b4c6d8a2e3f1b0c9d8e7f")
    n: str = example("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78...")
    e: str = example("AQAB")


class JwksReply(Reply):
    """The public keys that verify access tokens."""

    keys: list[JwkReply]


_GRANT: dict[str, Any] = {"type": "string", "enum": [GRANT_TYPE], "example": GRANT_TYPE}
_TOKEN_FORM: dict[str, Any] = {"type": "object", "properties": {"grant_type": _GRANT}, "required": ["grant_type"]}
TOKEN_REQUEST = {"requestBody": {"required": True, "content": {FORM: {"schema": _TOKEN_FORM}}}}
TOKEN_REPLIES: dict[str | int, Any] = {200: AccessTokenReply, 400: OAuthError, 401: OAuthError}
