"""user-service on a real database: races, indexes, outages."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
from flask_openapi3 import OpenAPI
from pymongo.database import Database

from chassis import mongo
from chassis.mongo import Document
from tests.at_once import at_once
from tests.integration.recovering import restore, run, save
from tests.waiting import until
from user_service import create_app
from user_service.config import Settings

PASSWORD = "a long enough phrase"
PRINT_KEYS = """
import user_service
print(user_service.create_app().test_client().get("/.well-known/jwks.json").get_data(as_text=True).strip())
"""
NO_SERVER = "mongodb://127.0.0.1:9/users"
MakeApp = Callable[..., OpenAPI]


@pytest.fixture
def make_app(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    """Return a function that makes apps on one database, like several processes. Close their connections afterwards."""
    databases: list[Database[Document]] = []
    connect = mongo.connect

    def remember(url: str, service: str) -> Database[Document]:
        databases.append(connect(url, service, timeout=0.3 if url == NO_SERVER else 4))
        return databases[-1]

    def make(**settings: Any) -> OpenAPI:
        defaults = {
            "environment": "development",
            "mongo_url": mongo_url,
            "service_clients": {"order-service": "a secret"},
            "log_level": "ERROR",
        }
        return create_app(Settings(**{**defaults, **settings}))

    monkeypatch.setattr(mongo, "connect", remember)
    yield make
    for database in databases:
        database.client.close()


@pytest.fixture
def database(mongo_url: str) -> Iterator[Database[Document]]:
    with pymongo.MongoClient[Document](mongo_url) as client:
        yield client.get_default_database()


def post(app: OpenAPI, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    return app.test_client().post(path, json=body, headers=headers)


def register(app: OpenAPI, email: str = "ana@example.com") -> Any:
    return post(app, "/register", {"email": email, "password": PASSWORD})


def login(app: OpenAPI, email: str = "ana@example.com", password: str = PASSWORD) -> Any:
    return post(app, "/login", {"email": email, "password": password})


def bearer(app: OpenAPI, email: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Bearer {login(app, email, password).json['access_token']}"}


def test_processes_that_start_at_once_on_an_empty_database_agree_on_one_key_and_one_admin(
    make_app: MakeApp, mongo_url: str, database: Database[Document]
) -> None:
    variables = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ENVIRONMENT": "development",
        "MONGO_URL": mongo_url,
        "SERVICE_CLIENTS": "order-service:a secret",
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": "the-first-admin",
    }
    started = [
        subprocess.Popen([sys.executable, "-c", PRINT_KEYS], env=variables, stdout=subprocess.PIPE) for _ in range(4)
    ]
    published = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert len(published[0]["keys"]) == 1
    assert all(keys == published[0] for keys in published)
    assert database.signing_keys.count_documents({}) == database.users.count_documents({}) == 1
    assert login(make_app(), "admin@example.com", "the-first-admin").status_code == 200


def test_of_many_registrations_of_one_e_mail_address_one_succeeds(
    make_app: MakeApp, database: Database[Document]
) -> None:
    app = make_app()
    spellings = ["ana@example.com", "ANA@example.com", "Ana@Example.com", " ana@example.com"]
    codes = at_once(8, lambda number: register(app, spellings[number % 4]).status_code)
    assert sorted(codes) == [201] + [409] * 7
    assert database.users.count_documents({}) == 1


def test_of_two_refreshes_with_one_token_one_succeeds_and_the_family_is_revoked(make_app: MakeApp) -> None:
    app = make_app()
    register(app)
    for _ in range(5):
        body = {"refresh_token": login(app).json["refresh_token"]}
        answers = at_once(2, lambda _, body=body: post(app, "/refresh", body))
        winner, loser = sorted(answers, key=lambda answer: answer.status_code)
        assert (winner.status_code, loser.status_code) == (200, 401)
        assert post(app, "/refresh", {"refresh_token": winner.json["refresh_token"]}).status_code == 401


def test_no_session_survives_a_password_change_that_races_with_refreshes_and_sign_ins(make_app: MakeApp) -> None:
    app = make_app()
    register(app)
    headers = bearer(app, "ana@example.com")
    tokens = [login(app).json["refresh_token"] for _ in range(3)]
    change = {"current_password": PASSWORD, "new_password": "another long phrase"}

    def act(number: int) -> Any:
        if number == 0:
            return post(app, "/users/me/password", change, headers)
        if number <= 3:
            return post(app, "/refresh", {"refresh_token": tokens[number - 1]})
        return login(app)

    answers = at_once(6, act)
    assert answers[0].status_code == 204
    granted = [answer.json["refresh_token"] for answer in answers[1:] if answer.status_code == 200]
    for token in [*tokens, *granted]:
        assert post(app, "/refresh", {"refresh_token": token}).status_code == 401
    assert login(app, password="another long phrase").status_code == 200


def test_of_two_password_changes_at_once_one_wins(make_app: MakeApp) -> None:
    app = make_app()
    register(app)
    headers = bearer(app, "ana@example.com")
    phrases = ["the first new phrase", "the second new phrase"]

    def change(number: int) -> int:
        body = {"current_password": PASSWORD, "new_password": phrases[number]}
        return int(post(app, "/users/me/password", body, headers).status_code)

    codes = at_once(2, change)
    assert codes.count(204) == 1
    assert [login(app, password=phrase).status_code == 200 for phrase in phrases] == [code == 204 for code in codes]


def test_two_administrators_who_demote_each_other_at_once_leave_one(
    make_app: MakeApp, database: Database[Document]
) -> None:
    app = make_app()
    ids = [register(app, f"admin{number}@example.com").json["id"] for number in range(2)]
    for _ in range(5):
        database.users.update_many({}, {"$set": {"roles": ["admin"]}})
        headers = [bearer(app, f"admin{number}@example.com") for number in range(2)]

        def demote(number: int, headers: list[dict[str, str]] = headers) -> int:
            path, body = f"/users/{ids[1 - number]}/roles", {"roles": ["customer"]}
            return int(app.test_client().put(path, json=body, headers=headers[number]).status_code)

        codes = at_once(2, demote)
        assert database.users.count_documents({"roles": "admin"}) >= 1
        assert codes.count(200) <= 1
        assert set(codes) <= {200, 409}


def test_rotations_at_once_add_one_key(make_app: MakeApp, database: Database[Document]) -> None:
    apps = [make_app() for _ in range(4)]
    codes = at_once(4, lambda number: apps[number].test_cli_runner().invoke(args=["rotate-keys"]).exit_code)
    assert sorted(codes) == [0, 1, 1, 1]
    assert [key["sequence"] for key in database.signing_keys.find().sort("sequence")] == [1, 2]


def test_a_process_accepts_tokens_of_a_key_that_another_has_just_made(make_app: MakeApp) -> None:
    one, other = make_app(), make_app()
    register(one)
    assert one.test_client().get("/users/me", headers=bearer(one, "ana@example.com")).status_code == 200
    other.test_cli_runner().invoke(args=["rotate-keys", "--revoke-now"])
    deadline = time.monotonic() + 5
    headers = bearer(other, "ana@example.com")
    while one.test_client().get("/users/me", headers=headers).status_code != 200:
        assert time.monotonic() < deadline, "the new key was not found"
        time.sleep(0.1)


def test_failures_are_counted_together_by_all_processes(make_app: MakeApp) -> None:
    apps = [make_app() for _ in range(2)]
    register(apps[0])
    codes = [login(apps[number % 2], password="wrong").status_code for number in range(11)]
    assert codes == [401] * 10 + [429]
    assert [login(app).status_code for app in apps] == [429, 429]


def test_failures_at_once_are_all_counted(make_app: MakeApp, database: Database[Document]) -> None:
    app = make_app()
    register(app)
    at_once(8, lambda _: login(app, password="wrong"))
    assert {len(document["times"]) for document in database.attempts.find({"times.1": {"$exists": True}})} == {8}


def test_registrations_at_once_do_not_exceed_their_limit(make_app: MakeApp, database: Database[Document]) -> None:
    app = make_app(registrations_per_minute=4)
    codes = at_once(10, lambda number: register(app, f"user{number}@example.com").status_code)
    assert sorted(codes) == [201] * 4 + [429] * 6
    assert database.users.count_documents({}) == 4


def test_a_hundred_and_twenty_correct_sign_ins_in_a_row_are_all_let_in(make_app: MakeApp) -> None:
    app = make_app()
    register(app)
    assert {login(app).status_code for _ in range(120)} == {200}


def test_temporary_documents_expire_and_unique_fields_have_an_index(
    make_app: MakeApp, database: Database[Document]
) -> None:
    make_app()
    for name in ("refresh_families", "attempts"):
        assert database[name].index_information()["expires_at_1"]["expireAfterSeconds"] == 0
    assert database.users.index_information()["email_key_1"]["unique"]
    assert database.signing_keys.index_information()["sequence_1"]["unique"]


def test_without_its_database_the_service_starts_and_answers_503(make_app: MakeApp) -> None:
    app = make_app(mongo_url=NO_SERVER)
    client = app.test_client()
    basic = ("order-service", "a secret")
    answers = [
        login(app),
        register(app),
        post(app, "/refresh", {"refresh_token": "a.b"}),
        client.get("/.well-known/jwks.json"),
        client.post("/token", data={"grant_type": "client_credentials"}, auth=basic),
        client.get("/ready"),
    ]
    assert [answer.status_code for answer in answers] == [503] * len(answers)
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert client.get("/health").status_code == 200


def test_a_database_outage_while_running_gives_503(make_app: MakeApp, mongo_url: str) -> None:
    app = make_app()
    register(app)
    headers = bearer(app, "ana@example.com")
    app.extensions["accounts"].users._users = _unreachable().users
    app.extensions["accounts"].throttle.store._attempts = _unreachable().attempts
    answers = [login(app), register(app), app.test_client().get("/users/me", headers=headers)]
    assert [answer.status_code for answer in answers] == [503, 503, 503]


def _unreachable() -> Database[Document]:
    return mongo.connect(NO_SERVER, "user-service")


def test_after_a_restore_no_token_of_before_is_valid(
    make_app: MakeApp, mongo_url: str, database: Database[Document]
) -> None:
    app = make_app()
    register(app)
    first = login(app).json
    backup = save(database)
    assert post(app, "/refresh", {"refresh_token": first["refresh_token"]}).status_code == 200
    restore(database, backup)
    again = post(app, "/refresh", {"refresh_token": first["refresh_token"]})
    assert again.status_code == 200, "a restore makes a spent token valid again"

    printed = run("user_service.recovery", {"MONGO_URL": mongo_url})
    assert "1 families of refresh tokens are revoked" in printed
    for pair in (first, again.json):
        assert post(app, "/refresh", {"refresh_token": pair["refresh_token"]}).status_code == 401
        old = {"Authorization": f"Bearer {pair['access_token']}"}
        until(lambda old=old: app.test_client().get("/users/me", headers=old).status_code == 401, "refused", seconds=10)
    (key,) = app.test_client().get("/.well-known/jwks.json").json["keys"]
    assert key["kid"] not in {document["_id"] for document in backup["signing_keys"]}
    assert app.test_client().get("/users/me", headers=bearer(app, "ana@example.com")).status_code == 200
