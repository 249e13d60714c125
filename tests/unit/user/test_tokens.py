"""Access, refresh and service tokens of user-service."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from jwt.algorithms import RSAAlgorithm

from tests.unit.user.user_app import PASSWORD, Shop, bearer, make_shop
from user_service.keys import parse_private_key


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = make_shop(monkeypatch)
    shop.register(phone="+491701234567")
    return shop


def verified(shop: Shop, token: str) -> dict[str, Any]:
    keys = {jwk["kid"]: RSAAlgorithm.from_jwk(jwk) for jwk in shop.client.get("/.well-known/jwks.json").json["keys"]}
    key: Any = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience="shop", issuer="user-service")


def service_login(shop: Shop, client_id: str, secret: str, **form: Any) -> Any:
    encoded = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = form or {"grant_type": "client_credentials"}
    return shop.client.post("/token", data=form, headers={"Authorization": f"Basic {encoded}"})


def test_an_access_token_has_exactly_the_claims_that_others_rely_on(shop: Shop) -> None:
    answer = shop.login()
    claims = verified(shop, answer.json["access_token"])
    expected = {"email": "ana@example.com", "phone": "+491701234567", "roles": ["customer"]}
    assert {name: claims[name] for name in expected} == expected
    assert set(claims) == {*expected, "sub", "iss", "aud", "iat", "exp", "jti", "type", "fresh"}
    assert claims["exp"] - claims["iat"] == answer.json["expires_in"] == 900
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.json["token_type"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_has_no_phone_where_the_user_has_none(shop: Shop) -> None:
    shop.register("bob@example.com")
    assert "phone" not in verified(shop, shop.login("bob@example.com").json["access_token"])


def test_refreshing_spends_the_token_and_gives_another(shop: Shop) -> None:
    first = shop.login().json["refresh_token"]
    second = shop.refresh(first)
    assert second.status_code == 200
    assert second.json["refresh_token"] != first
    assert shop.refresh(second.json["refresh_token"]).status_code == 200


def test_a_spent_token_revokes_its_whole_family_and_no_other(shop: Shop) -> None:
    first, other = shop.login().json["refresh_token"], shop.login().json["refresh_token"]
    second = shop.refresh(first).json["refresh_token"]
    assert shop.refresh(first).status_code == 401
    assert shop.refresh(second).status_code == 401
    assert shop.refresh(other).status_code == 200


@pytest.mark.parametrize("token", ["", "nothing", "a.b", ".", "." * 100, "$ne.x"])
def test_an_unknown_refresh_token_is_refused(shop: Shop, token: str) -> None:
    assert shop.refresh(token).status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"refresh_token": None}, {"refresh_token": {"$ne": ""}}, {"refresh_token": "x" * 201}]
)
def test_what_is_no_refresh_token_is_invalid(shop: Shop, body: dict[str, Any]) -> None:
    assert shop.client.post("/refresh", json=body).status_code == 422
    assert shop.client.post("/logout", json=body).status_code == 422


def test_a_refresh_token_expires(shop: Shop) -> None:
    token = shop.login().json["refresh_token"]
    shop.clock.move(timedelta(days=30).total_seconds())
    assert shop.refresh(token).status_code == 401


def test_logging_out_revokes_the_family_and_may_be_repeated(shop: Shop) -> None:
    token = shop.login().json["refresh_token"]
    for given in (token, token, "unknown.token"):
        assert shop.client.post("/logout", json={"refresh_token": given}).status_code == 204
    assert shop.refresh(token).status_code == 401


def test_the_database_knows_only_hashes_of_refresh_tokens(shop: Shop) -> None:
    token = shop.login().json["refresh_token"]
    assert token.partition(".")[2] not in str(list(shop.database.refresh_families.find()))


def test_a_session_that_escaped_the_revocation_ends_with_the_credential_version(shop: Shop) -> None:
    tokens = shop.login().json
    shop.database.users.update_one({"email": "ana@example.com"}, {"$inc": {"credential_version": 1}})
    assert shop.refresh(tokens["refresh_token"]).status_code == 401


def test_a_replacement_that_the_driver_ran_twice_succeeds(shop: Shop) -> None:
    token = shop.login().json["refresh_token"]
    families = shop.app.extensions["tokens"].families
    family = families.find(token.partition(".")[0])
    for _ in range(2):
        assert families.replace(family.id, family.token_hash, "new", shop.clock(), family.expires_at)
    assert not families.replace(family.id, family.token_hash, "other", shop.clock(), family.expires_at)


def test_a_service_gets_a_token_with_its_id_as_subject_and_the_role_service(shop: Shop) -> None:
    answer = service_login(shop, "order-service", quote_plus("s3cret+/:="))
    assert answer.status_code == 200
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3600)
    assert answer.headers["Cache-Control"] == "no-store"
    claims = verified(shop, answer.json["access_token"])
    assert (claims["sub"], claims["roles"]) == ("order-service", ["service"])
    assert shop.client.get("/users/me", headers=bearer(answer.json["access_token"])).status_code == 403


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("order-service", "wrong"), ("nobody", quote_plus("s3cret+/:=")), ("order-service", ""), ("", "")],
)
def test_a_client_with_a_wrong_secret_is_refused_in_the_words_of_oauth(shop: Shop, client_id: str, secret: str) -> None:
    answer = service_login(shop, client_id, secret)
    assert (answer.status_code, answer.json["error"], answer.mimetype) == (401, "invalid_client", "application/json")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", [None, "Basic", "Basic !!!", "Bearer x", "Basic bm9jb2xvbg=="])
def test_a_client_without_basic_credentials_is_refused(shop: Shop, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    answer = shop.client.post("/token", data={"grant_type": "client_credentials"}, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
        ({"other": "x"}, "invalid_request"),
    ],
)
def test_another_grant_type_is_refused_in_the_words_of_oauth(shop: Shop, form: dict[str, Any], error: str) -> None:
    answer = service_login(shop, "order-service", quote_plus("s3cret+/:="), **form)
    assert (answer.status_code, answer.json["error"]) == (400, error)


def test_a_token_of_another_audience_or_issuer_or_algorithm_is_refused(shop: Shop) -> None:
    token = shop.login().json["access_token"]
    claims, header = jwt.decode(token, options={"verify_signature": False}), jwt.get_unverified_header(token)
    key = parse_private_key(shop.app.extensions["keyring"].current())
    kid = {"kid": header["kid"]}
    forged = [
        jwt.encode({**claims, "aud": "other"}, key, "RS256", headers=kid),
        jwt.encode({**claims, "iss": "other"}, key, "RS256", headers=kid),
        jwt.encode({**claims, "exp": 1}, key, "RS256", headers=kid),
        jwt.encode(claims, key, "RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, "s" * 32, "HS256", headers=kid),
        jwt.encode(claims, None, "none", headers=kid),
    ]
    assert [shop.client.get("/users/me", headers=bearer(t)).status_code for t in forged] == [401] * len(forged)
    assert shop.client.get("/users/me", headers=bearer(token)).status_code == 200


def test_the_secrets_are_in_no_representation(shop: Shop) -> None:
    shown = repr(shop.app.extensions["keyring"].current()) + repr(
        shop.app.extensions["accounts"].users.list_newest(limit=9, cursor=None)
    )
    assert "PRIVATE" not in shown
    assert "argon2" not in shown
    assert PASSWORD not in shown
