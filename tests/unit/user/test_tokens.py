"""Access, refresh and service tokens of user-service."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from jwt.algorithms import RSAAlgorithm

from tests.unit.user.user_app import PASSWORD, UserService, bearer, make_user_service
from user_service.keys import parse_private_key


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    service = make_user_service(monkeypatch)
    service.register(phone="+491701234567")
    return service


def verified(service: UserService, token: str) -> dict[str, Any]:
    keys = {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in service.client.get("/.well-known/jwks.json").json["keys"]}
    key: Any = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience="shop", issuer="user-service")


def service_login(service: UserService, client_id: str, secret: str, **form: Any) -> Any:
    encoded = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = form or {"grant_type": "client_credentials"}
    return service.client.post("/token", data=form, headers={"Authorization": f"Basic {encoded}"})


def test_an_access_token_has_exactly_the_claims_that_others_rely_on(service: UserService) -> None:
    answer = service.login()
    claims = verified(service, answer.json["access_token"])
    expected = {"email": "ana@example.com", "phone": "+491701234567", "roles": ["customer"]}
    assert {name: claims[name] for name in expected} == expected
    assert set(claims) == {*expected, "sub", "iss", "aud", "iat", "exp", "jti", "type", "fresh"}
    assert claims["exp"] - claims["iat"] == answer.json["expires_in"] == 900
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.json["token_type"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_has_no_phone_if_the_user_has_none(service: UserService) -> None:
    service.register("bob@example.com")
    assert "phone" not in verified(service, service.login("bob@example.com").json["access_token"])


def test_a_refresh_token_works_once_and_is_exchanged_for_another(service: UserService) -> None:
    first = service.login().json["refresh_token"]
    second = service.refresh(first)
    assert second.status_code == 200
    assert second.json["refresh_token"] != first
    assert service.refresh(second.json["refresh_token"]).status_code == 200


def test_a_spent_token_revokes_its_whole_family_and_no_other(service: UserService) -> None:
    first, other = service.login().json["refresh_token"], service.login().json["refresh_token"]
    second = service.refresh(first).json["refresh_token"]
    assert service.refresh(first).status_code == 401
    assert service.refresh(second).status_code == 401
    assert service.refresh(other).status_code == 200


@pytest.mark.parametrize("token", ["", "nothing", "a.b", ".", "." * 100, "$ne.x"])
def test_an_unknown_refresh_token_is_refused(service: UserService, token: str) -> None:
    assert service.refresh(token).status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"refresh_token": None}, {"refresh_token": {"$ne": ""}}, {"refresh_token": "x" * 201}]
)
def test_a_malformed_refresh_token_is_invalid(service: UserService, body: dict[str, Any]) -> None:
    assert service.client.post("/refresh", json=body).status_code == 422
    assert service.client.post("/logout", json=body).status_code == 422


def test_a_refresh_token_expires(service: UserService) -> None:
    token = service.login().json["refresh_token"]
    service.clock.move(timedelta(days=30).total_seconds())
    assert service.refresh(token).status_code == 401


def test_logging_out_revokes_the_family_and_may_be_repeated(service: UserService) -> None:
    token = service.login().json["refresh_token"]
    for refresh_token in (token, token, "unknown.token"):
        assert service.client.post("/logout", json={"refresh_token": refresh_token}).status_code == 204
    assert service.refresh(token).status_code == 401


def test_the_database_knows_only_hashes_of_refresh_tokens(service: UserService) -> None:
    token = service.login().json["refresh_token"]
    assert token.partition(".")[2] not in str(list(service.database.refresh_families.find()))


def test_a_session_that_escaped_the_revocation_ends_with_the_credential_version(service: UserService) -> None:
    tokens = service.login().json
    service.database.users.update_one({"email": "ana@example.com"}, {"$inc": {"credential_version": 1}})
    assert service.refresh(tokens["refresh_token"]).status_code == 401


def test_a_replacement_that_the_driver_ran_twice_succeeds(service: UserService) -> None:
    token = service.login().json["refresh_token"]
    families = service.app.extensions["tokens"].families
    family = families.find(token.partition(".")[0])
    for _ in range(2):
        assert families.replace(family.id, family.token_hash, "new", service.clock(), family.expires_at)
    assert not families.replace(family.id, family.token_hash, "other", service.clock(), family.expires_at)


def test_a_service_gets_a_token_with_its_id_as_subject_and_the_role_service(service: UserService) -> None:
    answer = service_login(service, "order-service", quote_plus("s3cret+/:="))
    assert answer.status_code == 200
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3600)
    assert answer.headers["Cache-Control"] == "no-store"
    claims = verified(service, answer.json["access_token"])
    assert (claims["sub"], claims["roles"]) == ("order-service", ["service"])
    assert service.client.get("/users/me", headers=bearer(answer.json["access_token"])).status_code == 403


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("order-service", "wrong"), ("nobody", quote_plus("s3cret+/:=")), ("order-service", ""), ("", "")],
)
def test_a_client_with_a_wrong_secret_gets_an_oauth_error(service: UserService, client_id: str, secret: str) -> None:
    answer = service_login(service, client_id, secret)
    assert (answer.status_code, answer.json["error"], answer.mimetype) == (401, "invalid_client", "application/json")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", [None, "Basic", "Basic !!!", "Bearer x", "Basic bm9jb2xvbg=="])
def test_a_client_without_basic_credentials_is_refused(service: UserService, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    answer = service.client.post("/token", data={"grant_type": "client_credentials"}, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
        ({"other": "x"}, "invalid_request"),
    ],
)
def test_another_grant_type_gets_an_oauth_error(service: UserService, form: dict[str, Any], error: str) -> None:
    answer = service_login(service, "order-service", quote_plus("s3cret+/:="), **form)
    assert (answer.status_code, answer.json["error"]) == (400, error)


def test_a_token_of_another_audience_or_issuer_or_algorithm_is_refused(service: UserService) -> None:
    token = service.login().json["access_token"]
    claims, header = jwt.decode(token, options={"verify_signature": False}), jwt.get_unverified_header(token)
    key = parse_private_key(service.app.extensions["tokens"].keyring.current())
    kid = {"kid": header["kid"]}
    forged = [
        jwt.encode({**claims, "aud": "other"}, key, "RS256", headers=kid),
        jwt.encode({**claims, "iss": "other"}, key, "RS256", headers=kid),
        jwt.encode({**claims, "exp": 1}, key, "RS256", headers=kid),
        jwt.encode(claims, key, "RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, "s" * 32, "HS256", headers=kid),
        jwt.encode(claims, None, "none", headers=kid),
    ]
    assert [service.client.get("/users/me", headers=bearer(t)).status_code for t in forged] == [401] * len(forged)
    assert service.client.get("/users/me", headers=bearer(token)).status_code == 200


def test_the_secrets_are_in_no_representation(service: UserService) -> None:
    shown = repr(service.app.extensions["tokens"].keyring.current()) + repr(
        service.app.extensions["accounts"].users.list_newest(limit=9, cursor=None)
    )
    assert "PRIVATE" not in shown
    assert "argon2" not in shown
    assert PASSWORD not in shown
