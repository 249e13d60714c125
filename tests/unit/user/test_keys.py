"""Signing keys of user-service and their rotation."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from chassis.schemas import format_time
from tests.unit.user.user_app import UserService, bearer, make_user_service
from user_service.keys import Keyring


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    service = make_user_service(monkeypatch)
    service.register()
    return service


def published(service: UserService) -> list[str]:
    return [key["kid"] for key in service.client.get("/.well-known/jwks.json").json["keys"]]


def signing(service: UserService) -> str:
    return str(jwt.get_unverified_header(service.login().json["access_token"])["kid"])


def keyring(service: UserService) -> Keyring:
    ring: Keyring = service.app.extensions["tokens"].keyring
    return ring


def test_only_public_numbers_are_published(service: UserService) -> None:
    answer = service.client.get("/.well-known/jwks.json")
    (key,) = answer.json["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_a_new_key_is_published_for_a_cache_lifetime_before_it_signs(service: UserService) -> None:
    old = signing(service)
    new = keyring(service).rotate().id
    assert published(service) == [old, new]
    service.clock.move(304)
    assert signing(service) == old
    service.clock.move(1)
    assert signing(service) == new


def test_an_old_key_is_published_until_its_last_token_has_expired(service: UserService) -> None:
    old = signing(service)
    new = keyring(service).rotate().id
    service.clock.move(305 + 3600 + 89)
    assert published(service) == [old, new]
    service.clock.move(1)
    assert published(service) == [new]


def test_a_token_of_the_old_key_is_accepted_during_the_rotation(service: UserService) -> None:
    token = service.login().json["access_token"]
    keyring(service).rotate()
    service.clock.move(400)
    assert service.client.get("/users/me", headers=bearer(token)).status_code == 200


def test_a_rotation_under_way_refuses_the_next(service: UserService) -> None:
    runner = service.app.test_cli_runner()
    assert runner.invoke(args=["rotate-keys"]).exit_code == 0
    refused = runner.invoke(args=["rotate-keys"])
    assert (refused.exit_code, "--revoke-now" in refused.output) == (1, True)
    assert service.database.signing_keys.count_documents({}) == 2
    service.clock.move(305 + 3600 + 90)
    assert runner.invoke(args=["rotate-keys"]).exit_code == 0
    assert service.database.signing_keys.count_documents({}) == 2  # the outlived one is deleted


def test_the_command_prints_key_ids_and_times_and_no_key(service: UserService) -> None:
    old, start = signing(service), service.clock()
    output = service.app.test_cli_runner().invoke(args=["rotate-keys"]).output
    until = format_time(start + timedelta(seconds=305 + 3600 + 90))
    assert f"key {old} signs from {format_time(start)}, is published until {until}" in output
    assert f"signs from {format_time(start + timedelta(seconds=305))}" in output
    assert "PRIVATE" not in output


def test_revoking_now_replaces_every_key_at_once(service: UserService) -> None:
    token = service.login().json["access_token"]
    keyring(service).rotate()
    assert service.app.test_cli_runner().invoke(args=["rotate-keys", "--revoke-now"]).exit_code == 0
    assert len(published(service)) == 1
    assert published(service) == [signing(service)]
    assert service.client.get("/users/me", headers=bearer(token)).status_code == 401


def test_another_process_sees_a_revocation_within_its_cache_lifetime(service: UserService) -> None:
    other = Keyring(keyring(service)._store, service.clock, token_seconds=3600)
    old = other.current().id
    new = keyring(service).rotate(revoke_now=True).id
    assert other.current().id == old
    service.clock.move(1)
    assert other.public_key(new) is not None
    service.clock.move(30)
    assert other.current().id == new
    assert other.public_key(old) is None


def test_an_unknown_key_is_looked_up_at_most_once_a_second(
    service: UserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []
    store = keyring(service)._store
    find_all = store.find_all
    monkeypatch.setattr(store, "find_all", lambda: (looks.append(1), find_all())[1])
    service.clock.move(5)
    for _ in range(10):
        assert keyring(service).public_key("unknown") is None
    assert len(looks) == 1


def test_of_two_rotations_at_the_same_moment_one_is_refused(service: UserService) -> None:
    ring = keyring(service)
    first = ring._store.find_all()[0]
    assert not ring._store.add(type(first)("other", first.sequence, first.pem, service.clock()))
    assert ring._store.add(first)  # this very key, inserted twice


def test_starting_again_makes_no_second_key_and_no_second_admin(service: UserService) -> None:
    keyring(service).ensure_key()
    service.app.extensions["accounts"].ensure_admin("admin@example.com", "the-first-admin")
    assert service.database.signing_keys.count_documents({}) == 1
    assert service.database.users.count_documents({"roles": "admin"}) == 1
