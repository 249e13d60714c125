"""After a restore no token of before it is valid; everybody can sign in again."""

import pytest

from chassis import mongo
from tests.unit.user.user_app import UserService, bearer, make_user_service
from user_service import recovery
from user_service.keys import CACHE_SECONDS


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    service = make_user_service(monkeypatch)
    service.register()
    return service


@pytest.fixture
def recover(service: UserService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Recover":
    monkeypatch.setattr(mongo, "connect", lambda _url, _service, **_options: service.database)
    monkeypatch.setenv("MONGO_URL", "mongodb://u:p@unused/users")
    return Recover(capsys)


class Recover:
    """The command; called, it returns what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self) -> str:
        recovery.main()
        return self.capsys.readouterr().out


def kids(service: UserService) -> list[str]:
    return [key["_id"] for key in service.database.signing_keys.find()]


def test_refresh_tokens_of_before_are_refused_at_once(service: UserService, recover: Recover) -> None:
    first, second = (service.login().json["refresh_token"] for _ in range(2))
    renewed = service.refresh(second).json["refresh_token"]
    recover()
    assert [service.refresh(token).status_code for token in (first, renewed)] == [401, 401]
    assert service.refresh(service.login().json["refresh_token"]).status_code == 200


def test_access_tokens_of_before_are_refused_once_the_process_has_read_the_keys_again(
    service: UserService, recover: Recover
) -> None:
    old = bearer(service.login().json["access_token"])
    recover()
    service.clock.move(CACHE_SECONDS)
    assert service.client.get("/users/me", headers=old).status_code == 401
    assert service.client.get("/users/me", headers=service.signed_in()).status_code == 200


def test_keys_of_a_rotation_under_way_go_as_well(service: UserService, recover: Recover) -> None:
    service.app.extensions["tokens"].keyring.rotate()
    before = kids(service)
    printed = recover()
    (new,) = kids(service)
    assert len(before) == 2
    assert new not in before
    assert f"The key {new} signs now" in printed


def test_the_recovery_can_be_repeated_and_says_what_it_did(service: UserService, recover: Recover) -> None:
    service.login()
    service.login()
    assert recover().startswith("2 families of refresh tokens are revoked")
    assert recover().startswith("0 families of refresh tokens are revoked")
    assert len(kids(service)) == 1


def test_a_key_that_another_process_adds_at_the_same_moment_makes_the_command_fail(
    service: UserService, recover: Recover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery.KeyStore, "add", lambda _store, _key: False)
    family = service.login().json["refresh_token"]
    with pytest.raises(SystemExit, match="must be repeated: Another process is rotating"):
        recover()
    assert service.refresh(family).status_code == 200
