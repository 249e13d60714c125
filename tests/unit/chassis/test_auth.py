"""Only a token that user-service signed for this shop opens a door, and only the doors of its roles."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Response, jsonify
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from chassis.auth import access
from chassis.auth.access import ADMIN, CUSTOMER, SERVICE, caller, public, requires
from chassis.errors import Unavailable
from chassis.schemas import Body, Query
from chassis.web import json_bodies
from chassis.web.app import make_app
from tests.signing import AUDIENCE, ISSUER, KID, PublishedKeys, bearer, claims, jwk, private_key, token
from tests.waiting import until


class Order(Body):
    """What the route for orders takes."""

    quantity: int


class Listed(Query):
    """The query of a route for a list."""

    user_id: str | None = None


def make_client(keys: access.KeySource) -> FlaskClient:
    app: OpenAPI = make_app("shop", "shop", "")
    access.init_app(app, keys, issuer=ISSUER, audience=AUDIENCE)

    @app.get("/open")
    @public
    def open_to_all() -> Response:
        return jsonify(open=True)

    @app.get("/forgotten")
    def forgotten() -> Response:
        return jsonify(secret=True)

    @app.get("/me")
    @requires(CUSTOMER, ADMIN)
    def me() -> Response:
        who = caller()
        return jsonify(id=who.id, roles=sorted(who.roles), email=who.email, phone=who.phone, admin=who.is_admin)

    @app.post("/orders")
    @requires(SERVICE)
    def orders(body: Order) -> Response:
        return jsonify(quantity=body.quantity)

    @app.get("/listed")
    @requires(CUSTOMER, ADMIN)
    def listed(query: Listed) -> Response:
        return jsonify(owner=access.listed_owner(query.user_id))

    return app.test_client()


@pytest.fixture
def client() -> FlaskClient:
    return make_client(PublishedKeys())


def encoded(part: dict[str, Any] | bytes) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def signed(payload: dict[str, Any] | None = None, *, key: str = KID, **header: Any) -> str:
    headers = {"kid": KID, **header}
    return jwt.encode(payload or claims(), private_key(key), algorithm="RS256", headers=headers)


def unsigned(algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': KID})}.{encoded(claims(roles=['admin']))}."


def signed_with_the_public_key(encoding: Encoding, form: PublicFormat) -> str:
    secret = private_key().public_key().public_bytes(encoding, form)
    message = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': KID})}.{encoded(claims(roles=['admin']))}"
    return f"{message}.{encoded(hmac.digest(secret, message.encode(), hashlib.sha256))}"


def tampered() -> str:
    header, _, signature = token("customer").split(".")
    return f"{header}.{encoded(claims(roles=['admin']))}.{signature}"


def later(seconds: int) -> int:
    return int(time.time()) + seconds


FORGED: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: unsigned("none"),
    "no algorithm, in capitals": lambda: unsigned("NONE"),
    "the public key as HMAC secret, PEM": lambda: signed_with_the_public_key(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ),
    "the public key as HMAC secret, DER": lambda: signed_with_the_public_key(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ),
    "another RSA algorithm": lambda: jwt.encode(claims(), private_key(), algorithm="RS512", headers={"kid": KID}),
    "another key under the same id": lambda: signed(key="forger"),
    "a key brought along": lambda: signed(key="forger", jwk=jwk("forger")),
    "a key address brought along": lambda: signed(key="forger", jku="http://127.0.0.1:1/jwks.json"),
    "an unknown key": lambda: signed(key="forger", kid="forger"),
    "no key id": lambda: jwt.encode(claims(), private_key(), algorithm="RS256"),
    "a path as key id": lambda: signed(key="forger", kid="../../../dev/null"),
    "other claims under a true signature": tampered,
    "another issuer": lambda: signed(claims(iss="somebody")),
    "no issuer": lambda: signed(claims(iss=None)),
    "another audience": lambda: signed(claims(aud="another-shop")),
    "no audience": lambda: signed(claims(aud=None)),
    "expired beyond the leeway": lambda: signed(claims(exp=later(-95))),
    "never expiring": lambda: signed(claims(exp=None)),
    "not valid yet": lambda: signed(claims(nbf=later(95))),
    "issued in the future": lambda: signed(claims(iat=later(95))),
    "no subject": lambda: signed(claims(sub=None)),
    "no roles": lambda: signed(claims(roles=None)),
    "roles as a text": lambda: signed(claims(roles="admin")),
    "a refresh token": lambda: signed(claims(type="refresh")),
    "no token at all": lambda: "",
    "not a token": lambda: "abc",
    "three parts of nothing": lambda: "..",
    "a header that is no object": lambda: f"{encoded(b'[]')}.{encoded(b'{}')}.{encoded(b'x')}",
    "a header that is no JSON": lambda: f"{encoded(b'{')}.{encoded(b'{}')}.{encoded(b'x')}",
    "a key id that is no text": lambda: (
        f"{encoded({'alg': 'RS256', 'kid': {'$ne': None}})}.{encoded(claims())}.{encoded(b'x')}"
    ),
    "a very long token": lambda: "a" * 6000 + ".b.c",
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_token_that_is_not_valid_opens_nothing(client: FlaskClient, forgery: str) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {FORGED[forgery]()}"})
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json["type"] == "unauthorized"


def test_the_forgeries_differ_from_a_token_that_is_accepted(client: FlaskClient) -> None:
    """Otherwise each of them might be refused for a reason of its own."""
    assert client.get("/me", headers={"Authorization": f"Bearer {signed()}"}).status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR", "Bearer "])
def test_the_scheme_is_compared_in_any_case(client: FlaskClient, scheme: str) -> None:
    for _ in range(2):  # verified, then remembered
        assert client.get("/me", headers={"Authorization": f"{scheme} {token('customer')}"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Basic YTpi", "bearer", "Token abc", "Bearer a b", "Bearer \xe9", "a, \xa0", "Bearer a, b"],
)
def test_without_a_bearer_token_the_answer_is_401(client: FlaskClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert client.get("/me", headers=headers).status_code == 401


@pytest.mark.parametrize("place", ["query", "cookie"])
def test_a_token_elsewhere_than_in_the_header_does_not_count(client: FlaskClient, place: str) -> None:
    valid = token("customer")
    if place == "cookie":
        client.set_cookie("access_token_cookie", valid)
    query = f"?jwt={valid}&access_token={valid}" if place == "query" else ""
    assert client.get("/me" + query).status_code == 401


@pytest.mark.parametrize("changed", [{"exp": -85}, {"nbf": 85}, {"iat": 85}])
def test_a_valid_token_opens_its_door_and_clocks_may_differ_by_the_leeway(
    client: FlaskClient, changed: dict[str, int]
) -> None:
    moved = {name: later(seconds) for name, seconds in changed.items()}
    answer = client.get("/me", headers={"Authorization": f"Bearer {token('customer', **moved)}"})
    assert answer.status_code == 200


def test_the_caller_is_who_the_token_says(client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {token('admin', 'customer', user='u7', phone='+4930123456')}"}
    assert client.get("/me", headers=headers).json == {
        "id": "u7",
        "roles": ["admin", "customer"],
        "email": "ana@example.com",
        "phone": "+4930123456",
        "admin": True,
    }


@pytest.mark.parametrize(
    ("roles", "status"),
    [((), 403), (("service",), 403), (("Customer",), 403), (("customer",), 200), (("admin",), 200)],
)
def test_only_the_roles_of_a_route_may_use_it(client: FlaskClient, roles: tuple[str, ...], status: int) -> None:
    assert client.get("/me", headers=bearer(*roles)).status_code == status


def test_everybody_may_use_a_public_route_even_with_a_broken_token(client: FlaskClient) -> None:
    assert client.get("/open").json == {"open": True}
    assert client.get("/open", headers={"Authorization": "Bearer nonsense"}).json == {"open": True}


def test_a_route_without_a_mark_is_closed_even_to_administrators(client: FlaskClient) -> None:
    for headers in ({}, bearer("admin", "service")):
        answer = client.get("/forgotten", headers=headers)
        assert (answer.status_code, answer.json["type"]) == (403, "forbidden")


BAD_REQUESTS: dict[str, dict[str, Any]] = {
    "another media type": {"data": "quantity=1", "content_type": "application/x-www-form-urlencoded"},
    "no media type": {"data": b'{"quantity": 1}'},
    "not JSON": {"data": "{", "content_type": "application/json"},
    "too large": {"data": b" " * (json_bodies.MAX_BODY + 1), "content_type": "application/json"},
    "an invalid field": {"json": {"quantity": "1"}},
    "an unknown query parameter": {"json": {"quantity": 1}, "query_string": {"colour": "red"}},
}


@pytest.mark.parametrize("bad", BAD_REQUESTS)
def test_a_refused_caller_gets_no_validation_error(client: FlaskClient, bad: str) -> None:
    assert client.post("/orders", **BAD_REQUESTS[bad]).status_code == 401
    assert client.post("/orders", headers=bearer("customer"), **BAD_REQUESTS[bad]).status_code == 403


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ("another media type", 415),
        ("no media type", 415),
        ("not JSON", 400),
        ("too large", 413),
        ("an invalid field", 422),
    ],
)
def test_an_authorized_caller_gets_the_validation_error(client: FlaskClient, bad: str, status: int) -> None:
    assert client.post("/orders", headers=bearer("service"), **BAD_REQUESTS[bad]).status_code == status


def test_without_any_keys_the_answer_is_503_not_401() -> None:
    class NoKeys:
        def public_key(self, kid: str) -> Any:
            raise Unavailable("No keys.", retry_after=10)

    answer = make_client(NoKeys()).get("/me", headers=bearer("customer"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


def test_an_unknown_path_is_404_and_a_wrong_method_405_without_a_token(client: FlaskClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.delete("/me").status_code == 405


# Tokens that were verified before


class ChangingKeys:
    """Keys that are withdrawn, or replaced under the same id."""

    def __init__(self) -> None:
        self.published: dict[str, Any] = {KID: private_key().public_key()}

    def public_key(self, kid: str) -> Any:
        return self.published.get(kid)


def test_a_known_token_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client, header = make_client(PublishedKeys()), bearer("customer")
    assert client.get("/me", headers=header).status_code == 200
    monkeypatch.setattr(access, "verify_jwt_in_request", lambda: pytest.fail("it was verified again"))
    assert client.get("/me", headers=header).json["id"] == "user-1"


def test_a_known_token_is_refused_once_its_time_is_over() -> None:
    client, header = make_client(PublishedKeys()), {"Authorization": f"Bearer {signed(claims(exp=later(-85)))}"}
    assert client.get("/me", headers=header).status_code == 200
    until(lambda: client.get("/me", headers=header).status_code == 401, "it has expired")


@pytest.mark.parametrize("published", [{}, {KID: private_key("forger").public_key()}])
def test_a_known_token_is_refused_once_its_key_is_withdrawn(published: dict[str, Any]) -> None:
    keys = ChangingKeys()
    client, header = make_client(keys), bearer("customer")
    assert client.get("/me", headers=header).status_code == 200
    keys.published = published
    assert client.get("/me", headers=header).status_code == 401


def test_a_known_token_is_refused_if_its_key_was_replaced_during_the_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, verify = ChangingKeys(), access.verify_jwt_in_request

    def verify_and_replace() -> Any:
        verified = verify()
        keys.published = {KID: private_key("forger").public_key()}
        return verified

    monkeypatch.setattr(access, "verify_jwt_in_request", verify_and_replace)
    client, header = make_client(keys), bearer("customer")
    assert [client.get("/me", headers=header).status_code for _ in range(2)] == [200, 401]


def test_a_known_token_gives_only_its_own_roles(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/orders", json={"quantity": 1}, headers=bearer("customer")).status_code == 403
        assert client.post("/orders", json={"quantity": 1}, headers=bearer("service")).status_code == 200


def test_a_refused_token_is_not_remembered(client: FlaskClient) -> None:
    header = {"Authorization": f"Bearer {signed(key='forger')}"}
    assert [client.get("/me", headers=header).status_code for _ in range(2)] == [401, 401]


def test_the_cache_of_tokens_does_not_grow_beyond_its_size(client: FlaskClient) -> None:
    verifier = access.TokenVerifier(PublishedKeys(), cache_size=3)
    for number in range(10):
        with client.application.test_request_context():
            assert verifier.identity(signed(claims(sub=f"user-{number}"))).id == f"user-{number}"
        assert 1 <= len(verifier._cache) <= 3


@pytest.mark.parametrize(
    ("role", "query", "owner"),
    [
        ("customer", "", "user-1"),
        ("customer", "?user_id=user-1", "user-1"),
        ("admin", "", None),
        ("admin", "?user_id=somebody", "somebody"),
        ("admin", "?user_id=", ""),
    ],
)
def test_a_list_shows_the_callers_things_and_to_an_administrator_those_of_the_named_user_or_all(
    client: FlaskClient, role: str, query: str, owner: str | None
) -> None:
    assert client.get(f"/listed{query}", headers=bearer(role)).json == {"owner": owner}


@pytest.mark.parametrize("query", ["?user_id=somebody", "?user_id="])
def test_a_customer_lists_nothing_of_others(client: FlaskClient, query: str) -> None:
    assert client.get(f"/listed{query}", headers=bearer("customer")).status_code == 403
