"""Registration, profile, password and roles of user-service."""

import time
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests.unit.user.user_app import PASSWORD, UserService, make_user_service
from tools.paths import ROOT
from user_service.passwords import is_common


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    return make_user_service(monkeypatch, registrations_per_minute=1000)


def test_registering_answers_the_account_without_its_password(service: UserService) -> None:
    answer = service.register("Ana@Example.com", name=" Ana ", phone="+49 (170) 123-45 67")
    assert answer.status_code == 201
    assert answer.json == {
        "id": answer.json["id"],
        "email": "Ana@Example.com",
        "name": "Ana",
        "phone": "+491701234567",
        "roles": ["customer"],
    }
    assert answer.headers["Location"] == f"/users/{answer.json['id']}"


def test_the_password_is_stored_as_argon2id_with_the_parameters_of_owasp(service: UserService) -> None:
    service.register()
    assert service.database.users.find_one({"email": "ana@example.com"})["password_hash"].startswith(
        "$argon2id$v=19$m=19456,t=2,p=1$"
    )


@pytest.mark.parametrize("email", ["ana@example.com", "ANA@Example.COM", "  ana@example.com ", "ａｎａ@example.com"])
def test_an_e_mail_address_is_taken_however_it_is_spelled(service: UserService, email: str) -> None:
    service.register("Ana@example.com")
    answer = service.register(email)
    assert (answer.status_code, answer.json["type"]) == (409, "email-taken")
    assert service.login(email).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@localhost"}, "email"),
        ({"email": "a@b@example.com"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": ".a@example.com"}, "email"),
        ({"email": "a@-example.com"}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": {"$ne": None}}, "email"),
        ({"email": "a\x00@example.com"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short 7"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "Password123"}, "password"),
        ({"password": "\ud800" * 8}, "password"),
        ({"password": 12345678}, "password"),
        ({"email": "a\u200bna@example.com"}, "email"),
        ({"email": "a\u00adna@example.com"}, "email"),
        ({"email": "a\ue000na@example.com"}, "email"),
        ({"phone": "1234567"}, "phone"),
        ({"phone": "+12"}, "phone"),
        ({"phone": "+" + "1" * 20}, "phone"),
        ({"phone": "+49 CALL ME"}, "phone"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"roles": ["admin"]}, "roles"),
        ({"id": "chosen"}, "id"),
        ({"credential_version": 7}, "credential_version"),
    ],
)
def test_invalid_registrations_are_refused_and_store_nothing(
    service: UserService, body: dict[str, Any], field: str
) -> None:
    answer = service.client.post("/register", json={"email": "ana@example.com", "password": PASSWORD, **body})
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert service.database.users.count_documents({"email": {"$ne": "admin@example.com"}}) == 0


@pytest.mark.parametrize("password", ["x7 éä💡 q", "12 34 56", "x" * 128])
def test_passwords_of_8_to_128_characters_need_no_composition(service: UserService, password: str) -> None:
    assert service.register(password=password).status_code == 201
    assert service.login(password=password).status_code == 200


def test_a_password_is_the_same_however_its_accents_are_composed(service: UserService) -> None:
    service.register(password="caf\u00e9 au lait")
    assert service.login(password="cafe\u0301 au lait").status_code == 200


@pytest.mark.parametrize(
    ("email", "password"), [("ana@example.com", "wrong"), ("bob@example.com", PASSWORD), ("?", "")]
)
def test_wrong_credentials_always_get_the_same_answer(service: UserService, email: str, password: str) -> None:
    service.register()
    answer = service.login(email, password)
    assert (answer.status_code, answer.json["detail"]) == (401, "The e-mail address or the password is wrong.")


def test_an_unknown_e_mail_address_takes_as_long_as_a_wrong_password(service: UserService) -> None:
    service.register()

    def seconds(email: str) -> float:
        started = time.perf_counter()
        service.login(email, "wrong")
        return time.perf_counter() - started

    rounds = [(seconds("ana@example.com"), seconds("bob@example.com")) for _ in range(10)]
    known, unknown = map(min, zip(*rounds, strict=True))
    assert 0.5 < unknown / known < 2  # without a hash to check it would be a tenth


def test_signing_in_renews_a_hash_that_was_made_with_older_parameters(service: UserService) -> None:
    service.register()
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    service.database.users.update_one({"email": "ana@example.com"}, {"$set": {"password_hash": old}})
    assert service.login().status_code == 200
    assert "m=19456" in service.database.users.find_one({"email": "ana@example.com"})["password_hash"]
    assert service.login().status_code == 200


def test_a_profile_change_sets_the_named_fields_and_null_clears_them(service: UserService) -> None:
    service.register(name="Ana", phone="+491701234567")
    headers = service.signed_in()
    assert service.client.patch("/users/me", json={"phone": None}, headers=headers).json["phone"] is None
    assert service.client.patch("/users/me", json={}, headers=headers).json["name"] == "Ana"
    assert service.client.patch("/users/me", json={"name": "Anna"}, headers=headers).json["name"] == "Anna"
    me = service.client.get("/users/me", headers=headers).json
    assert (me["name"], me["phone"], me["email"]) == ("Anna", None, "ana@example.com")


@pytest.mark.parametrize(
    "body", [{"roles": ["admin"]}, {"email": "b@example.com"}, {"password_hash": "x"}, {"id": "x"}]
)
def test_a_profile_change_cannot_set_other_fields(service: UserService, body: dict[str, Any]) -> None:
    service.register()
    before = service.database.users.find_one({"email": "ana@example.com"})
    assert service.client.patch("/users/me", json=body, headers=service.signed_in()).status_code == 422
    assert service.database.users.find_one({"email": "ana@example.com"}) == before


def test_changing_the_password_ends_every_session_and_the_old_password(service: UserService) -> None:
    service.register()
    tokens = service.login().json
    body = {"current_password": PASSWORD, "new_password": "another long phrase"}
    answer = service.client.post("/users/me/password", json=body, headers=service.signed_in())
    assert answer.status_code == 204
    assert service.refresh(tokens["refresh_token"]).status_code == 401
    assert service.login().status_code == 401
    assert service.login(password="another long phrase").status_code == 200


def test_a_password_is_not_changed_without_the_current_one(service: UserService) -> None:
    service.register()
    tokens = service.login().json
    body = {"current_password": "wrong", "new_password": "another long phrase"}
    answer = service.client.post("/users/me/password", json=body, headers=service.signed_in())
    assert (answer.status_code, answer.json["type"]) == (403, "wrong-password")
    assert service.refresh(tokens["refresh_token"]).status_code == 200


def test_a_new_password_may_not_be_a_common_one(service: UserService) -> None:
    service.register()
    body = {"current_password": PASSWORD, "new_password": "iloveyou123"}
    answer = service.client.post("/users/me/password", json=body, headers=service.signed_in())
    assert [error["field"] for error in answer.json["errors"]] == ["new_password"]


def test_an_administrator_lists_users_newest_first_page_by_page(service: UserService) -> None:
    for number in range(5):
        service.clock.move(1)
        service.register(f"user{number}@example.com")
    headers, cursor, seen = service.admin(), None, []
    while cursor or not seen:
        page = service.client.get(
            "/users", query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}, headers=headers
        )
        seen += [item["email"] for item in page.json["items"]]
        cursor = page.json["next_cursor"]
    assert seen == [f"user{number}@example.com" for number in (4, 3, 2, 1, 0)] + ["admin@example.com"]


@pytest.mark.parametrize("user_id", ["nobody", "a%00b", "$ne", "x" * 500, "%ff"])
def test_an_unknown_user_id_is_not_found(service: UserService, user_id: str) -> None:
    headers = service.admin()
    assert service.client.get(f"/users/{user_id}", headers=headers).status_code == 404
    assert service.client.put(f"/users/{user_id}/roles", json={"roles": ["admin"]}, headers=headers).status_code == 404


def test_roles_given_by_an_administrator_are_in_the_next_token(service: UserService) -> None:
    user_id = service.register().json["id"]
    tokens = service.login().json
    answer = service.client.put(
        f"/users/{user_id}/roles", json={"roles": ["customer", "admin"]}, headers=service.admin()
    )
    assert answer.json["roles"] == ["admin", "customer"]
    renewed = service.refresh(tokens["refresh_token"]).json
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert service.client.get("/users", headers=headers).status_code == 200


@pytest.mark.parametrize("roles", [["service"], [], ["owner"], "admin", None, ["admin", "service"]])
def test_only_the_roles_of_people_can_be_given(service: UserService, roles: Any) -> None:
    user_id = service.register().json["id"]
    answer = service.client.put(f"/users/{user_id}/roles", json={"roles": roles}, headers=service.admin())
    assert answer.status_code == 422
    assert service.database.users.find_one({"_id": user_id})["roles"] == ["customer"]


def test_the_last_administrator_stays_one(service: UserService) -> None:
    headers = service.admin()
    admin_id = service.client.get("/users/me", headers=headers).json["id"]
    answer = service.client.put(f"/users/{admin_id}/roles", json={"roles": ["customer"]}, headers=headers)
    assert (answer.status_code, answer.json["type"]) == (409, "last-admin")
    assert "admin" in service.database.users.find_one({"_id": admin_id})["roles"]


def test_an_administrator_can_give_up_the_role_when_there_is_another(service: UserService) -> None:
    headers = service.admin()
    admin_id = service.client.get("/users/me", headers=headers).json["id"]
    other_id = service.register().json["id"]
    service.client.put(f"/users/{other_id}/roles", json={"roles": ["admin"]}, headers=headers)
    answer = service.client.put(f"/users/{admin_id}/roles", json={"roles": ["customer"]}, headers=headers)
    assert (answer.status_code, answer.json["roles"]) == (200, ["customer"])


def test_the_first_administrator_does_not_take_over_an_existing_account(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_user_service(monkeypatch, admin_email="", admin_password="")
    user = service.register("boss@example.com").json
    service.app.extensions["accounts"].ensure_admin("Boss@example.com", "the-first-admin")
    assert service.database.users.find_one({"_id": user["id"]})["roles"] == ["customer"]
    assert service.database.users.count_documents({}) == 1


@pytest.mark.parametrize("method_and_path", ["GET /users", "GET /users/x", "PUT /users/x/roles"])
def test_routes_of_administrators_are_closed_to_customers(service: UserService, method_and_path: str) -> None:
    service.register()
    method, path = method_and_path.split()
    assert service.client.open(path, method=method).status_code == 401
    assert service.client.open(path, method=method, headers=service.signed_in()).status_code == 403


def test_thousands_of_common_passwords_are_refused_whatever_their_case() -> None:
    common = (ROOT / "user-service" / "user_service" / "common_passwords.txt").read_text("utf-8").splitlines()
    assert len(common) > 8000
    assert min(map(len, common)) == 8
    assert all(is_common(password.upper()) for password in common)
    assert not is_common("analytical engine")
