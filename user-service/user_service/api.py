"""The routes of user-service: parse, call, present.

A route is `public`, or `requires(...)` roles. A parameter called `body` is read as strict JSON. A docstring is the text
in /docs: its first line is the summary, the rest the description. `raises(...)` adds its problems.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from flask import Flask, Response, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, CUSTOMER, caller, public, requires
from chassis.errors import Conflict, NotFound, TooManyRequests, Unauthorized
from chassis.schemas import PageQuery
from chassis.service import collaborator
from chassis.web.docs import raises
from chassis.web.responses import created, json_response, no_content
from user_service import oauth, schemas
from user_service.accounts import Accounts, EmailTaken, LastAdmin, WrongPassword
from user_service.keys import JWKS_CACHE_SECONDS, parse_private_key
from user_service.model import SigningKey
from user_service.tokens import Tokens

ACCOUNTS = Tag(name="Accounts", description="Register, and manage your own account.")
SESSIONS = Tag(name="Sessions", description="Sign in, refresh the tokens, sign out.")
ADMINISTRATION = Tag(name="Administration", description="Manage all accounts. For administrators.")
SERVICE_TOKENS = Tag(name="Service tokens", description="How services sign in, and how they verify access tokens.")

api = APIBlueprint("users", __name__)

accounts: Accounts = collaborator("accounts")
tokens: Tokens = collaborator("tokens")


@api.post("/register", tags=[ACCOUNTS], responses={201: schemas.UserReply})
@public
@raises(EmailTaken, TooManyRequests)
def register(body: schemas.RegisterBody) -> Response:
    """Open an account.

    It gets the role `customer`. A mailbox has one account, whatever the spelling. Common passwords are refused.
    """
    user = accounts.register(body.email, body.password, body.name, body.phone, address=request.remote_addr)
    return created(json_response(schemas.UserReply, user), f"/users/{user.id}")


@api.post("/login", tags=[SESSIONS], responses={200: schemas.TokenPairReply})
@public
@raises(Unauthorized, TooManyRequests)
def login(body: schemas.LoginBody) -> Response:
    """Sign in.

    The answer has an access token, and a refresh token that gets the next pair. To try the other routes on this page,
    copy `access_token` into *Authorize*. The example is the demo administrator of a development stack.
    """
    user = accounts.sign_in(body.email, body.password, address=request.remote_addr)
    return json_response(schemas.TokenPairReply, tokens.issue(user))


@api.post("/refresh", tags=[SESSIONS], responses={200: schemas.TokenPairReply})
@public
@raises(Unauthorized, TooManyRequests)
def refresh(body: schemas.RefreshBody) -> Response:
    """Exchange a refresh token for a new pair.

    A refresh token works once. Using it again revokes all tokens of its sign-in.
    """
    return json_response(schemas.TokenPairReply, tokens.refresh(body.refresh_token, address=request.remote_addr))


@api.post("/logout", tags=[SESSIONS], responses={204: None})
@public
def logout(body: schemas.RefreshBody) -> Response:
    """Sign out.

    Revokes all refresh tokens of one sign-in; an unknown token is no error. Access tokens live on until they expire.
    """
    tokens.revoke(body.refresh_token)
    return no_content()


@api.get("/users/me", tags=[ACCOUNTS], responses={200: schemas.UserReply})
@requires(CUSTOMER, ADMIN)
@raises(NotFound)
def get_me() -> Response:
    """Get your account."""
    return json_response(schemas.UserReply, accounts.get(caller().id))


@api.patch("/users/me", tags=[ACCOUNTS], responses={200: schemas.UserReply})
@requires(CUSTOMER, ADMIN)
@raises(NotFound)
def change_me(body: schemas.ProfileBody) -> Response:
    """Change your name or phone number.

    `null` clears a field. The next access token has the new phone number.
    """
    user = accounts.change_profile(caller().id, body.model_dump(exclude_unset=True))
    return json_response(schemas.UserReply, user)


@api.post("/users/me/password", tags=[ACCOUNTS], responses={204: None})
@requires(CUSTOMER, ADMIN)
@raises(WrongPassword, NotFound, Conflict, TooManyRequests)
def change_my_password(body: schemas.PasswordBody) -> Response:
    """Change your password.

    Revokes all your refresh tokens. Common passwords are refused.
    """
    accounts.change_password(caller().id, body.current_password, body.new_password, address=request.remote_addr)
    return no_content()


@api.get("/users", tags=[ADMINISTRATION], responses={200: schemas.UserList})
@requires(ADMIN)
def list_users(query: PageQuery) -> Response:
    """List users, newest first.

    `next_cursor` leads to the next page. A cursor of another list is `invalid-input` (422).
    """
    return json_response(schemas.UserList, accounts.list_newest(limit=query.limit, cursor=query.cursor))


@api.get("/users/<user_id>", tags=[ADMINISTRATION], responses={200: schemas.UserReply})
@requires(ADMIN)
@raises(NotFound)
def get_user(path: schemas.UserPath) -> Response:
    """Get a user."""
    return json_response(schemas.UserReply, accounts.get(path.user_id))


@api.put("/users/<user_id>/roles", tags=[ADMINISTRATION], responses={200: schemas.UserReply})
@requires(ADMIN)
@raises(NotFound, LastAdmin)
def set_roles(path: schemas.UserPath, body: schemas.RolesBody) -> Response:
    """Set the roles of a user.

    They replace the present roles, and are in the next access token. One administrator must be left.
    """
    return json_response(schemas.UserReply, accounts.set_roles(path.user_id, body.roles))


@api.post("/token", tags=[SERVICE_TOKENS], responses=schemas.TOKEN_REPLIES, openapi_extensions=schemas.TOKEN_REQUEST)
@public
def token() -> Response:
    """Get an access token for a service.

    The client credentials grant of OAuth 2.0 (RFC 6749, 4.4): the service sends its id and secret by HTTP Basic.
    Errors, in OAuth's format: `invalid_client` (401), `invalid_request` and `unsupported_grant_type` (400).
    """
    access_token = tokens.issue_service_token(*oauth.basic_credentials(request.authorization))
    oauth.check_grant_type(request.mimetype, request.form.getlist("grant_type"))
    response = json_response(schemas.AccessTokenReply, access_token)
    response.headers["Pragma"] = "no-cache"
    return response


@api.get("/.well-known/jwks.json", tags=[SERVICE_TOKENS], responses={200: schemas.JwksReply})
@public
def jwks() -> Response:
    """Get the public keys that verify access tokens.

    A token names its key in the header `kid`. The keys may be cached for five minutes.
    """
    response = json_response(schemas.JwksReply, tokens.keyring.jwks())
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return response


@api.errorhandler(oauth.TokenRefusal)
def _refuse_token(refusal: oauth.TokenRefusal) -> Response:
    response = json_response(schemas.OAuthError, refusal)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response


def init_signing(app: Flask) -> None:
    """Set flask-jwt-extended up for `sign_access_token`."""
    app.config.update(JWT_ENCODE_NBF=False, JWT_COOKIE_CSRF_PROTECT=False)
    cast(JWTManager, app.extensions["flask-jwt-extended"]).encode_key_loader(parse_private_key)


def sign_access_token(claims: Mapping[str, Any], seconds: int, key: SigningKey) -> str:
    """Return a JWT with these claims, signed with a key. The library adds `iat`, `exp` and `jti`."""
    token: str = create_access_token(
        key,  # the library gives it to `encode_key_loader`; the claim `sub` takes its place in the token
        expires_delta=timedelta(seconds=seconds),
        additional_claims=dict(claims),
        additional_headers={"kid": key.id},
    )
    return token
