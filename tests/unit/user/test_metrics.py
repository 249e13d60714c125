"""What user-service counts: each sign-in, registration and reuse of a token once."""

import pytest

from tests.counted import counted
from tests.unit.user.user_app import PASSWORD, UserService, make_user_service
from user_service.store import RefreshTokenStore

WRONG = "not the right phrase"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    return make_user_service(monkeypatch, registrations_per_minute=2)


def test_a_registration_counts_by_its_outcome(service: UserService) -> None:
    with counted() as grown:
        answers = [service.register(email) for email in ("ana@example.com", "ANA@example.com", "b@example.com")]
        assert service.register("c@example.com", "password").status_code == 422
    assert [answer.status_code for answer in answers] == [201, 409, 429]
    assert grown == {f"shop_registrations_total {outcome}": 1 for outcome in ("created", "taken", "throttled")}


def test_a_sign_in_counts_by_its_outcome(service: UserService) -> None:
    service.register()
    with counted() as grown:
        assert service.login().status_code == 200
        statuses = [service.login(password=WRONG).status_code for _ in range(12)]
        assert service.login("nobody@example.com", address="192.0.2.2").status_code == 401
    assert statuses == [401] * 10 + [429] * 2
    assert grown == {
        "shop_sign_ins_total accepted": 1,
        "shop_sign_ins_total refused": 11,
        "shop_sign_ins_total throttled": 2,
    }


def test_a_change_of_the_password_is_no_sign_in(service: UserService) -> None:
    service.register()
    headers = service.signed_in()
    with counted() as grown:
        for current, status in ((WRONG, 403), (PASSWORD, 204)):
            body = {"current_password": current, "new_password": "another long phrase"}
            assert service.client.post("/users/me/password", json=body, headers=headers).status_code == status
    assert grown == {}


def test_a_reused_refresh_token_counts_once_for_its_family(service: UserService) -> None:
    service.register()
    first, other = service.login().json["refresh_token"], service.login().json["refresh_token"]
    second = service.refresh(first).json["refresh_token"]
    with counted() as grown:
        assert [service.refresh(token).status_code for token in (first, first, second)] == [401] * 3
        assert service.refresh(other).status_code == 200
    assert grown == {"shop_refresh_token_reuses_total": 1}


def test_of_two_requests_that_notice_a_reuse_one_counts_it(
    service: UserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.register()
    first = service.login().json["refresh_token"]
    service.refresh(first)
    revoke = RefreshTokenStore.revoke

    def revoke_after_another(store: RefreshTokenStore, family_id: str) -> bool:
        revoke(store, family_id)
        return revoke(store, family_id)

    monkeypatch.setattr(RefreshTokenStore, "revoke", revoke_after_another)
    with counted() as grown:
        assert service.refresh(first).status_code == 401
    assert grown == {}


def test_signing_out_an_expired_and_an_unknown_token_are_no_reuse(service: UserService) -> None:
    service.register()
    with counted() as grown:
        signed_out, expired = service.login().json["refresh_token"], service.login().json["refresh_token"]
        service.client.post("/logout", json={"refresh_token": signed_out})
        assert service.refresh(signed_out).status_code == 401
        service.clock.move(30 * 86_400)
        assert service.refresh(expired).status_code == 401
        assert service.refresh("unknown.token").status_code == 401
    assert grown == {"shop_sign_ins_total accepted": 2}
