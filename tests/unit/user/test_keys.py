"""Signing keys of user-service and their rotation."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from chassis.schemas import format_time
from tests.unit.user.user_app import Shop, bearer, make_shop
from user_service.keys import Keyring


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = make_shop(monkeypatch)
    shop.register()
    return shop


def published(shop: Shop) -> list[str]:
    return [key["kid"] for key in shop.client.get("/.well-known/jwks.json").json["keys"]]


def signing(shop: Shop) -> str:
    return str(jwt.get_unverified_header(shop.login().json["access_token"])["kid"])


def keyring(shop: Shop) -> Keyring:
    ring: Keyring = shop.app.extensions["keyring"]
    return ring


def test_only_public_numbers_are_published(shop: Shop) -> None:
    answer = shop.client.get("/.well-known/jwks.json")
    (key,) = answer.json["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_a_new_key_is_published_for_a_cache_lifetime_before_it_signs(shop: Shop) -> None:
    old = signing(shop)
    new = keyring(shop).rotate().id
    assert published(shop) == [old, new]
    shop.clock.move(304)
    assert signing(shop) == old
    shop.clock.move(1)
    assert signing(shop) == new


def test_an_old_key_is_published_until_its_last_token_has_expired(shop: Shop) -> None:
    old = signing(shop)
    new = keyring(shop).rotate().id
    shop.clock.move(305 + 3600 + 89)
    assert published(shop) == [old, new]
    shop.clock.move(1)
    assert published(shop) == [new]


def test_a_token_of_the_old_key_is_accepted_during_the_rotation(shop: Shop) -> None:
    token = shop.login().json["access_token"]
    keyring(shop).rotate()
    shop.clock.move(400)
    assert shop.client.get("/users/me", headers=bearer(token)).status_code == 200


def test_a_rotation_under_way_refuses_the_next(shop: Shop) -> None:
    runner = shop.app.test_cli_runner()
    assert runner.invoke(args=["rotate-keys"]).exit_code == 0
    refused = runner.invoke(args=["rotate-keys"])
    assert (refused.exit_code, "--revoke-now" in refused.output) == (1, True)
    assert shop.database.signing_keys.count_documents({}) == 2
    shop.clock.move(305 + 3600 + 90)
    assert runner.invoke(args=["rotate-keys"]).exit_code == 0
    assert shop.database.signing_keys.count_documents({}) == 2  # the outlived one is deleted


def test_the_command_prints_key_ids_and_times_and_no_key(shop: Shop) -> None:
    old, start = signing(shop), shop.clock()
    output = shop.app.test_cli_runner().invoke(args=["rotate-keys"]).output
    until = format_time(start + timedelta(seconds=305 + 3600 + 90))
    assert f"key {old} signs from {format_time(start)}, is published until {until}" in output
    assert f"signs from {format_time(start + timedelta(seconds=305))}" in output
    assert "PRIVATE" not in output


def test_revoking_now_replaces_every_key_at_once(shop: Shop) -> None:
    token = shop.login().json["access_token"]
    keyring(shop).rotate()
    assert shop.app.test_cli_runner().invoke(args=["rotate-keys", "--revoke-now"]).exit_code == 0
    assert len(published(shop)) == 1
    assert published(shop) == [signing(shop)]
    assert shop.client.get("/users/me", headers=bearer(token)).status_code == 401


def test_another_process_sees_a_revocation_within_its_cache_lifetime(shop: Shop) -> None:
    other = Keyring(keyring(shop)._store, shop.clock, token_seconds=3600)
    old = other.current().id
    new = keyring(shop).rotate(revoke_now=True).id
    assert other.current().id == old
    shop.clock.move(1)
    assert other.public_key(new) is not None
    shop.clock.move(30)
    assert other.current().id == new
    assert other.public_key(old) is None


def test_an_unknown_key_is_looked_for_at_most_once_a_second(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    store = keyring(shop)._store
    find_all = store.find_all
    monkeypatch.setattr(store, "find_all", lambda: (looks.append(1), find_all())[1])
    shop.clock.move(5)
    for _ in range(10):
        assert keyring(shop).public_key("unknown") is None
    assert len(looks) == 1


def test_of_two_rotations_at_the_same_moment_one_is_refused(shop: Shop) -> None:
    ring = keyring(shop)
    first = ring._store.find_all()[0]
    assert not ring._store.add(type(first)("other", first.sequence, first.pem, shop.clock()))
    assert ring._store.add(first)  # this very key, inserted twice


def test_starting_again_makes_no_second_key_and_no_second_admin(shop: Shop) -> None:
    keyring(shop).ensure_key()
    shop.app.extensions["accounts"].ensure_admin("admin@example.com", "the-first-admin")
    assert shop.database.signing_keys.count_documents({}) == 1
    assert shop.database.users.count_documents({"roles": "admin"}) == 1
