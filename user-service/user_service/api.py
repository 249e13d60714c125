"""The routes of user-service: parse, call, present."""

from datetime import timedelta
from typing import Any, cast
from urllib.parse import unquote_plus

from flask import Flask, Response, current_app, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_openapi3 import APIBlueprint

from chassis.auth.access import ADMIN, CUSTOMER, caller, public, requires
from chassis.schemas import PageQuery
from chassis.web.responses import created, json_response, no_content
from user_service.accounts import Accounts
from user_service.keys import JWKS_SECONDS, Keyring
from user_service.schemas import (
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
from user_service.tokens import Grant, InvalidClient, Pair, Tokens

api = APIBlueprint("users", __name__)

_TOKEN_REQUEST = {
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


class OAuthRefusal(Exception):
    """A token request that is refused in the words of OAuth 2 (RFC 6749, section 5.2)."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


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
    return _granted(_tokens().begin(user))


@api.post("/refresh", responses={200: TokenPairReply, 401: None, 429: None})
@public
def refresh(body: RefreshBody) -> Response:
    """Exchange a refresh token, which is spent by that, for a new pair."""
    return _granted(_tokens().refresh(body.refresh_token, address=request.remote_addr))


@api.post("/logout", responses={204: None})
@public
def logout(body: RefreshBody) -> Response:
    """Revoke a refresh token and all that came before and after it."""
    _tokens().end(body.refresh_token)
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
    openapi_extensions={"requestBody": _TOKEN_REQUEST},
)
@public
def token() -> Response:
    """Get an access token for a service, by its id and secret (RFC 6749, section 4.4; HTTP Basic)."""
    grant = _grant_to_client()
    _check_grant_type()
    response = jsonify(_access_token(grant))
    response.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache"})
    return response


@api.get("/.well-known/jwks.json", responses={200: JwksReply})
@public
def jwks() -> Response:
    """Get the public keys that verify access tokens."""
    response = jsonify(_keyring().jwks())
    response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
    return response


@api.errorhandler(OAuthRefusal)
def _refuse_token(refusal: OAuthRefusal) -> Response:
    response = jsonify(refusal.body)
    response.status_code = refusal.status
    response.headers["Cache-Control"] = "no-store"
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="user-service"'
    return response


def sign_access_tokens(app: Flask) -> None:
    """Sign each access token with the key that its grant names."""
    app.config.update(JWT_ENCODE_NBF=False, JWT_COOKIE_CSRF_PROTECT=False)
    manager = cast(JWTManager, app.extensions["flask-jwt-extended"])
    manager.user_identity_loader(lambda grant: grant.subject)
    manager.encode_key_loader(lambda grant: grant.key.private_key)


def _grant_to_client() -> Grant:
    """Return the grant of the client that HTTP Basic names; id and secret are form-encoded (RFC 6749, 2.3.1)."""
    basic = request.authorization
    try:
        if basic is None or basic.type != "basic":
            raise InvalidClient
        return _tokens().grant_to_service(unquote_plus(basic.username or ""), unquote_plus(basic.password or ""))
    except InvalidClient:
        raise OAuthRefusal(401, "invalid_client", "The client's id and secret are needed, by HTTP Basic.") from None


def _check_grant_type() -> None:
    grant_types = request.form.getlist("grant_type")
    if request.mimetype != "application/x-www-form-urlencoded" or len(grant_types) != 1:
        raise OAuthRefusal(400, "invalid_request", "One grant_type is needed, in a form body.")
    if grant_types != ["client_credentials"]:
        raise OAuthRefusal(400, "unsupported_grant_type", "The only grant_type is client_credentials.")


def _granted(pair: Pair) -> Response:
    return jsonify({**_access_token(pair.access), "refresh_token": pair.refresh_token})


def _access_token(grant: Grant) -> dict[str, Any]:
    encoded = create_access_token(
        grant,
        expires_delta=timedelta(seconds=grant.seconds),
        additional_claims=dict(grant.claims),
        additional_headers={"kid": grant.key.id},
    )
    return {"access_token": encoded, "token_type": "Bearer", "expires_in": grant.seconds}


def _accounts() -> Accounts:
    return cast(Accounts, current_app.extensions["accounts"])


def _tokens() -> Tokens:
    return cast(Tokens, current_app.extensions["tokens"])


def _keyring() -> Keyring:
    return cast(Keyring, current_app.extensions["keyring"])
