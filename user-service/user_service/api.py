"""The routes of user-service: parse, call, present."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from flask import Flask, Response, current_app, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_openapi3 import APIBlueprint
from werkzeug.local import LocalProxy

from chassis.auth.access import ADMIN, CUSTOMER, caller, public, requires
from chassis.schemas import PageQuery
from chassis.web.responses import created, json_response, no_content
from user_service import oauth, schemas
from user_service.accounts import Accounts
from user_service.keys import JWKS_CACHE_SECONDS, Keyring, parse_private_key
from user_service.model import SigningKey
from user_service.tokens import Tokens

api = APIBlueprint("users", __name__)

# The core objects of the app that serves the current request, as the wiring made them.
accounts = cast(Accounts, LocalProxy(lambda: current_app.extensions["accounts"]))
tokens = cast(Tokens, LocalProxy(lambda: current_app.extensions["tokens"]))
keyring = cast(Keyring, LocalProxy(lambda: current_app.extensions["keyring"]))


@api.post("/register", responses={201: schemas.UserReply, 409: None, 429: None})
@public
def register(body: schemas.RegisterBody) -> Response:
    """Open an account."""
    user = accounts.register(body.email, body.password, body.name, body.phone, address=request.remote_addr)
    return created(json_response(schemas.UserReply, user), f"/users/{user.id}")


@api.post("/login", responses={200: schemas.TokenPairReply, 401: None, 429: None})
@public
def login(body: schemas.LoginBody) -> Response:
    """Sign in: get an access token, and a refresh token for the next one."""
    user = accounts.sign_in(body.email, body.password, address=request.remote_addr)
    return json_response(schemas.TokenPairReply, tokens.issue(user))


@api.post("/refresh", responses={200: schemas.TokenPairReply, 401: None, 429: None})
@public
def refresh(body: schemas.RefreshBody) -> Response:
    """Exchange a refresh token, which is spent by that, for a new pair."""
    pair = tokens.refresh(body.refresh_token, address=request.remote_addr)
    return json_response(schemas.TokenPairReply, pair)


@api.post("/logout", responses={204: None})
@public
def logout(body: schemas.RefreshBody) -> Response:
    """Revoke a refresh token and all that came before and after it."""
    tokens.revoke(body.refresh_token)
    return no_content()


@api.get("/users/me", responses={200: schemas.UserReply})
@requires(CUSTOMER, ADMIN)
def get_me() -> Response:
    """Get the signed-in user."""
    return json_response(schemas.UserReply, accounts.get(caller().id))


@api.patch("/users/me", responses={200: schemas.UserReply})
@requires(CUSTOMER, ADMIN)
def change_me(body: schemas.ProfileBody) -> Response:
    """Change the name or phone number of the signed-in user; null clears it. The next access token tells."""
    user = accounts.change_profile(caller().id, body.model_dump(exclude_unset=True))
    return json_response(schemas.UserReply, user)


@api.post("/users/me/password", responses={204: None, 409: None, 429: None})
@requires(CUSTOMER, ADMIN)
def change_my_password(body: schemas.PasswordBody) -> Response:
    """Change the password of the signed-in user, which revokes every refresh token. 403 if the current one is wrong."""
    accounts.change_password(caller().id, body.current_password, body.new_password, address=request.remote_addr)
    return no_content()


@api.get("/users", responses={200: schemas.UserList})
@requires(ADMIN)
def list_users(query: PageQuery) -> Response:
    """List users, newest first."""
    return json_response(schemas.UserList, accounts.list_newest(limit=query.limit, cursor=query.cursor))


@api.get("/users/<user_id>", responses={200: schemas.UserReply})
@requires(ADMIN)
def get_user(path: schemas.UserPath) -> Response:
    """Get a user."""
    return json_response(schemas.UserReply, accounts.get(path.user_id))


@api.put("/users/<user_id>/roles", responses={200: schemas.UserReply, 409: None})
@requires(ADMIN)
def set_roles(path: schemas.UserPath, body: schemas.RolesBody) -> Response:
    """Give a user exactly these roles; the last administrator stays one. The next access token tells."""
    return json_response(schemas.UserReply, accounts.set_roles(path.user_id, body.roles))


@api.post(
    "/token",
    responses={200: schemas.AccessTokenReply, 400: schemas.OAuthError, 401: schemas.OAuthError},
    openapi_extensions={"requestBody": schemas.TOKEN_REQUEST},
)
@public
def token() -> Response:
    """Get an access token for a service, by its id and secret (RFC 6749, section 4.4; HTTP Basic)."""
    access_token = tokens.issue_service_token(*oauth.basic_credentials(request.authorization))
    oauth.check_grant_type(request.mimetype, request.form.getlist("grant_type"))
    response = json_response(schemas.AccessTokenReply, access_token)
    response.headers["Pragma"] = "no-cache"
    return response


@api.get("/.well-known/jwks.json", responses={200: schemas.JwksReply})
@public
def jwks() -> Response:
    """Get the public keys that verify access tokens."""
    response = json_response(schemas.JwksReply, keyring.jwks())
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return response


@api.errorhandler(oauth.TokenRefusal)
def _refuse_token(refusal: oauth.TokenRefusal) -> Response:
    response = json_response(schemas.OAuthError, refusal)
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
