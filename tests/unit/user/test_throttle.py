"""The limits on sign-ins, registrations and refreshes."""

import pytest

from tests.unit.user.user_app import PASSWORD, UserService, make_user_service
from user_service.throttle import network_of


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    service = make_user_service(monkeypatch)
    service.register()
    return service


def fail(service: UserService, times: int, email: str = "ana@example.com", address: str = "192.0.2.1") -> list[int]:
    return [service.login(email, "wrong", address).status_code for _ in range(times)]


def test_after_ten_failures_even_the_right_password_waits_a_minute(service: UserService) -> None:
    assert fail(service, 11) == [401] * 10 + [429]
    refused = service.login()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    service.clock.move(60)
    assert service.login().status_code == 200


def test_the_delay_grows_from_a_minute_to_ten_to_an_hour(service: UserService) -> None:
    assert fail(service, 11) == [401] * 10 + [429]
    service.clock.move(60)
    assert fail(service, 11) == [401] * 10 + [429]
    service.clock.move(60)
    assert service.login().headers["Retry-After"] == "480"
    for _ in range(3):
        service.clock.move(600)
        assert fail(service, 10) == [401] * 10
    service.clock.move(600)
    assert int(service.login().headers["Retry-After"]) > 600


def test_an_unknown_account_is_throttled_like_a_known_one(service: UserService) -> None:
    assert fail(service, 11, "nobody@example.com") == [401] * 10 + [429]


def test_another_spelling_of_the_e_mail_address_does_not_avoid_the_limit(service: UserService) -> None:
    fail(service, 5)
    fail(service, 5, " ANA@example.com")
    assert service.login().status_code == 429


def test_an_invented_e_mail_address_cannot_count_against_another_account(service: UserService) -> None:
    for separator in ("\n", "', '", ","):
        fail(service, 5, f"ana@example.com{separator}192.0.2.1", "203.0.113.1")
    assert service.login().status_code == 200


def test_another_account_and_another_address_are_not_held_up(service: UserService) -> None:
    service.register("bob@example.com")
    fail(service, 11)
    assert service.login("bob@example.com").status_code == 200
    assert service.login(address="198.51.100.1").status_code == 200


def test_the_addresses_of_one_ipv6_network_count_as_one(service: UserService) -> None:
    for host in range(10):
        fail(service, 1, address=f"2001:db8::{host}")
    assert service.login(address="2001:db8::ffff:1").status_code == 429
    assert service.login(address="2001:db8:0:1::1").status_code == 200


def test_correct_sign_ins_are_not_limited_and_forget_failures(service: UserService) -> None:
    for _ in range(3):
        fail(service, 9)
        assert [service.login().status_code for _ in range(3)] == [200] * 3


def test_strangers_everywhere_cannot_lock_the_owner_out(service: UserService) -> None:
    assert service.login(address="198.51.100.1").status_code == 200
    for host in range(10):
        fail(service, 10, address=f"192.0.2.{host}")
    assert service.login(address="203.0.113.1").status_code == 429
    assert service.login(address="198.51.100.1").status_code == 200


def test_a_hundred_failures_a_minute_close_an_address_for_all_accounts(service: UserService) -> None:
    for number in range(10):
        fail(service, 10, f"user{number}@example.com")
    assert service.login().status_code == 429
    service.clock.move(60)
    assert service.login().status_code == 200


@pytest.mark.parametrize(("trusted_proxies", "expected"), [(0, 429), (1, 200)])
def test_the_address_is_the_forwarded_one_only_behind_a_trusted_proxy(
    monkeypatch: pytest.MonkeyPatch, trusted_proxies: int, expected: int
) -> None:
    service = make_user_service(monkeypatch, trusted_proxies=trusted_proxies)
    service.register()
    bodies = [{"email": "ana@example.com", "password": password} for password in (*["wrong"] * 10, PASSWORD)]
    codes = [
        service.client.post("/login", json=body, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number, body in enumerate(bodies)
    ]
    assert codes == [401] * 10 + [expected]


def test_the_current_password_cannot_be_guessed_with_a_stolen_access_token(service: UserService) -> None:
    headers = service.signed_in()
    body = {"current_password": "wrong", "new_password": "another long phrase"}
    codes = [service.client.post("/users/me/password", json=body, headers=headers).status_code for _ in range(11)]
    assert codes == [403] * 10 + [429]


def test_registrations_are_limited_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_user_service(monkeypatch, registrations_per_minute=3)
    codes = [service.register(f"user{number}@example.com").status_code for number in range(4)]
    assert codes == [201, 201, 201, 429]
    assert service.register("invalid").status_code == 422
    service.clock.move(60)
    assert service.register().status_code == 201


def test_refreshes_are_limited_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_user_service(monkeypatch, refreshes_per_minute=2)
    answers = [service.refresh("unknown.token") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[-1].headers["Retry-After"] == "60"


def test_stored_attempts_show_neither_accounts_nor_addresses(service: UserService) -> None:
    fail(service, 1)
    service.login()
    stored = str(list(service.database.attempts.find()))
    assert "ana" not in stored
    assert "192.0.2" not in stored


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5678", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("2001:db8::1:443", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        *((nobody, "unknown") for nobody in (None, "", "unknown", "[]", "192.0.2.1:", ":80", "192.0.2:80", "[x]:1")),
    ],
)
def test_an_address_may_come_with_its_port(address: str | None, network: str) -> None:
    assert network_of(address) == network
