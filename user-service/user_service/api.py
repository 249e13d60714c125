"""The routes of user-service: parse, call, present."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from flask import Flask, Response, current_app, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_openapi3 import APIBlueprint

from chassis.auth.access import ADMIN, CUSTOMER, caller, public, requires
from chassis.schemas import PageQuery
from chassis.web.responses import created, json_response, no_content
from user_service import oauth
from user_service.accounts import Accounts
from user_service.keys import JWKS_CACHE_SECONDS, Keyring, parse_private_key
from user_service.model import SigningKey
from user_service.schemas import (
    TOKEN_REQUEST,
    AccessTokenReply,
    JwksReply,
    LoginBody,
    OAuthError,
    PasswordBody,
    ProfileBody,
    RefreshBody,
    RegisterBody,
    RolesBody,
    TokenPairReply,
    UserList,
    UserPath,
    UserReply,
)
from user_service.tokens import Tokens

api = APIBlueprint("users", __name__)


@api.post("/register", responses={201: UserReply, 409: None, 429: None})
@public
def register(body: RegisterBody) -> Response:
    """Open an account."""
    user = _accounts().register(body.email, body.password, body.name, body.phone, address=request.remote_addr)
    return created(json_response(UserReply, user), f"/users/{user.id}")


@api.post("/login", responses={200: TokenPairReply, 401: None, 429: None})
@public
def login(body: LoginBody) -> Response:
    """Sign in: get an access token, and a refresh token for the next one."""
    user = _accounts().sign_in(body.email, body.password, address=request.remote_addr)
    return json_response(TokenPairReply, _tokens().issue(user))


@api.post("/refresh", responses={200: TokenPairReply, 401: None, 429: None})
@public
def refresh(body: RefreshBody) -> Response:
    """Exchange a refresh token, which is spent by that, for a new pair."""
    pair = _tokens().refresh(body.refresh_token, address=request.remote_addr)
    return json_response(TokenPairReply, pair)


@api.post("/logout", responses={204: None})
@public
def logout(body: RefreshBody) -> Response:
    """Revoke a refresh token and all that came before and after it."""
    _tokens().revoke(body.refresh_token)
    return no_content()


@api.get("/users/me", responses={200: UserReply})
@requires(CUSTOMER, ADMIN)
def get_me() -> Response:
    """Get the signed-in user."""
    return json_response(UserReply, _accounts().get(caller().id))


@api.patch("/users/me", responses={200: UserReply})
@requires(CUSTOMER, ADMIN)
def change_me(body: ProfileBody) -> Response:
    """Change the name or phone number of the signed-in user; null clears it. The next access token tells."""
    user = _accounts().change_profile(caller().id, body.model_dump(exclude_unset=True))
    return json_response(UserReply, user)


@api.post("/users/me/password", responses={204: None, 409: None, 429: None})
@requires(CUSTOMER, ADMIN)
def change_my_password(body: PasswordBody) -> Response:
    """Change the password of the signed-in user, which revokes every refresh token. 403 if the current one is wrong."""
    _accounts().change_password(caller().id, body.current_password, body.new_password, address=request.remote_addr)
    return no_content()


@api.get("/users", responses={200: UserList})
@requires(ADMIN)
def list_users(query: PageQuery) -> Response:
    """List users, newest first."""
    return json_response(UserList, _accounts().list_newest(limit=query.limit, cursor=query.cursor))


@api.get("/users/<user_id>", responses={200: UserReply})
@requires(ADMIN)
def get_user(path: UserPath) -> Response:
    """Get a user."""
    return json_response(UserReply, _accounts().get(path.user_id))


@api.put("/users/<user_id>/roles", responses={200: UserReply, 409: None})
@requires(ADMIN)
def set_roles(path: UserPath, body: RolesBody) -> Response:
    """Give a user exactly these roles; the last administrator stays one. The next access token tells."""
    return json_response(UserReply, _accounts().set_roles(path.user_id, body.roles))


@api.post(
    "/token",
    responses={200: AccessTokenReply, 400: OAuthError, 401: OAuthError},
    openapi_extensions={"requestBody": TOKEN_REQUEST},
)
@public
def token() -> Response:
    """Get an access token for a service, by its id and secret (RFC 6749, section 4.4; HTTP Basic)."""
    access_token = _tokens().issue_service_token(*oauth.basic_credentials(request.authorization))
    oauth.check_grant_type(request.mimetype, request.form.getlist("grant_type"))
    response = json_response(AccessTokenReply, access_token)
    response.headers["Pragma"] = "no-cache"
    return response


@api.get("/.well-known/jwks.json", responses={200: JwksReply})
@public
def jwks() -> Response:
    """Get the public keys that verify access tokens."""
    response = json_response(JwksReply, _keyring().jwks())
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return response


@api.errorhandler(oauth.TokenRefusal)
def _refuse_token(refusal: oauth.TokenRefusal) -> Response:
    response = json_response(OAuthError, refusal)
    response.status_code = refusal.status
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="user-service"'
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


def _accounts() -> Accounts:
    return cast(Accounts, current_app.extensions["accounts"])


def _tokens() -> Tokens:
    return cast(Tokens, current_app.extensions["tokens"])


def _keyring() -> Keyring:
    return cast(Keyring, current_app.extensions["keyring"])
