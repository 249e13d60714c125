"""The limits on sign-ins, registrations and refreshes."""

import pytest

from tests.unit.user.user_app import PASSWORD, Shop, make_shop
from user_service.throttle import network_of


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = make_shop(monkeypatch)
    shop.register()
    return shop


def fail(shop: Shop, times: int, email: str = "ana@example.com", address: str = "192.0.2.1") -> list[int]:
    return [shop.login(email, "wrong", address).status_code for _ in range(times)]


def test_after_ten_failures_even_the_right_password_waits_a_minute(shop: Shop) -> None:
    assert fail(shop, 11) == [401] * 10 + [429]
    refused = shop.login()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    shop.clock.move(60)
    assert shop.login().status_code == 200


def test_the_delay_grows_from_a_minute_to_ten_to_an_hour(shop: Shop) -> None:
    assert fail(shop, 11) == [401] * 10 + [429]
    shop.clock.move(60)
    assert fail(shop, 11) == [401] * 10 + [429]
    shop.clock.move(60)
    assert shop.login().headers["Retry-After"] == "480"
    for _ in range(3):
        shop.clock.move(600)
        assert fail(shop, 10) == [401] * 10
    shop.clock.move(600)
    assert int(shop.login().headers["Retry-After"]) > 600


def test_an_address_that_does_not_exist_is_throttled_like_one_that_does(shop: Shop) -> None:
    assert fail(shop, 11, "nobody@example.com") == [401] * 10 + [429]


def test_spelling_the_e_mail_address_otherwise_is_no_way_around_the_limit(shop: Shop) -> None:
    fail(shop, 5)
    fail(shop, 5, " ANA@example.com")
    assert shop.login().status_code == 429


def test_no_e_mail_address_can_be_made_up_that_counts_against_somebody_else(shop: Shop) -> None:
    for separator in ("\n", "', '", ","):
        fail(shop, 5, f"ana@example.com{separator}192.0.2.1", "203.0.113.1")
    assert shop.login().status_code == 200


def test_another_account_and_another_address_are_not_held_up(shop: Shop) -> None:
    shop.register("bob@example.com")
    fail(shop, 11)
    assert shop.login("bob@example.com").status_code == 200
    assert shop.login(address="198.51.100.1").status_code == 200


def test_the_addresses_of_one_ipv6_network_are_one(shop: Shop) -> None:
    for host in range(10):
        fail(shop, 1, address=f"2001:db8::{host}")
    assert shop.login(address="2001:db8::ffff:1").status_code == 429
    assert shop.login(address="2001:db8:0:1::1").status_code == 200


def test_correct_sign_ins_are_not_limited_and_forget_failures(shop: Shop) -> None:
    for _ in range(3):
        fail(shop, 9)
        assert [shop.login().status_code for _ in range(3)] == [200] * 3


def test_strangers_everywhere_cannot_lock_the_owner_out(shop: Shop) -> None:
    assert shop.login(address="198.51.100.1").status_code == 200
    for host in range(10):
        fail(shop, 10, address=f"192.0.2.{host}")
    assert shop.login(address="203.0.113.1").status_code == 429
    assert shop.login(address="198.51.100.1").status_code == 200


def test_a_hundred_failures_a_minute_close_an_address_for_all_accounts(shop: Shop) -> None:
    for number in range(10):
        fail(shop, 10, f"user{number}@example.com")
    assert shop.login().status_code == 429
    shop.clock.move(60)
    assert shop.login().status_code == 200


@pytest.mark.parametrize(("trusted_proxies", "expected"), [(0, 429), (1, 200)])
def test_the_address_is_the_forwarded_one_only_behind_a_trusted_proxy(
    monkeypatch: pytest.MonkeyPatch, trusted_proxies: int, expected: int
) -> None:
    shop = make_shop(monkeypatch, trusted_proxies=trusted_proxies)
    shop.register()
    bodies = [{"email": "ana@example.com", "password": password} for password in (*["wrong"] * 10, PASSWORD)]
    codes = [
        shop.client.post("/login", json=body, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number, body in enumerate(bodies)
    ]
    assert codes == [401] * 10 + [expected]


def test_the_current_password_cannot_be_guessed_with_a_stolen_access_token(shop: Shop) -> None:
    headers = shop.signed_in()
    body = {"current_password": "wrong", "new_password": "another long phrase"}
    codes = [shop.client.post("/users/me/password", json=body, headers=headers).status_code for _ in range(11)]
    assert codes == [403] * 10 + [429]


def test_registrations_are_limited_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(monkeypatch, registrations_per_minute=3)
    codes = [shop.register(f"user{number}@example.com").status_code for number in range(4)]
    assert codes == [201, 201, 201, 429]
    assert shop.register("invalid").status_code == 422
    shop.clock.move(60)
    assert shop.register().status_code == 201


def test_refreshes_are_limited_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(monkeypatch, refreshes_per_minute=2)
    answers = [shop.refresh("unknown.token") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[-1].headers["Retry-After"] == "60"


def test_what_is_kept_shows_neither_accounts_nor_addresses(shop: Shop) -> None:
    fail(shop, 1)
    shop.login()
    kept = str(list(shop.database.attempts.find()))
    assert "ana" not in kept
    assert "192.0.2" not in kept


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
def test_an_address_is_told_with_its_port_or_without(address: str | None, network: str) -> None:
    assert network_of(address) == network
