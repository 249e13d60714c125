"""Keys and service tokens are fetched rarely, in the background where possible, and outlive an outage."""

import base64
import threading
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs

import pytest

from chassis.auth.client_credentials import ClientCredentials
from chassis.auth.jwks import JwksClient
from chassis.auth.renewal import Clock
from chassis.errors import Misconfigured, Unavailable
from tests.at_once import at_once, meanwhile
from tests.local_server import Asked, LocalServer, serving
from tests.signing import jwks, private_key
from tests.waiting import until


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def users() -> Iterator[LocalServer]:
    """user-service as far as tokens are concerned."""
    with serving(lambda _asked: (200, KEYS)) as server:
        yield server


KEYS, NEW_KEYS = jwks("k1"), jwks("k2")  # made in advance: a client may time out meanwhile


Answer = Callable[[Asked], tuple[int, Any]]


def once(event: threading.Event, answer: Answer) -> Answer:
    """Answer once the event is set, not before."""
    return lambda asked: answer(asked) if event.wait(60) else (503, {})


def public(kid: str) -> Any:
    return private_key(kid).public_key().public_numbers()


def test_a_key_is_fetched_at_its_first_use_and_then_kept(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    assert users.requests == []
    for _ in range(5):
        assert keys.public_key("k1").public_numbers() == public("k1")
        time.now += 50
    assert len(users.requests) == 1


def test_keys_are_fetched_again_in_the_background_before_their_life_ends(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    returned = threading.Event()
    users.answer = once(returned, lambda _asked: (200, NEW_KEYS))
    time.now += 299
    assert keys.public_key("k1").public_numbers() == public("k1")  # while user-service has not answered
    returned.set()
    until(lambda: keys.public_key("k2") is not None, "the new key is known")
    assert keys.public_key("k1") is None
    assert len(users.requests) == 2


def test_a_key_that_was_revoked_is_not_used_longer_than_the_copy_lives(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    users.answer = lambda _asked: (200, NEW_KEYS)
    time.now += 300
    assert at_once(8, lambda _number: keys.public_key("k1")) == [None] * 8
    assert len(users.requests) == 2


def test_while_user_service_is_away_no_request_waits_for_keys(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, timeout=60, clock=time)
    keys.public_key("k1")
    hanging = threading.Event()
    users.answer = lambda _asked: (503, {} if hanging.wait(60) else {})
    try:
        time.now += 299
        for _ in range(3):
            assert keys.public_key("k1") is not None
            until(lambda: len(users.requests) == 2, "one thread asks")
            time.now += 10
    finally:
        hanging.set()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (404, {}),
        (200, {}),
        (200, []),
        (200, None),
        (200, {"keys": None}),
        (200, {"keys": [1]}),
        (200, {"keys": [{"kid": "k1"}]}),
        (200, {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}),
    ],
)
def test_known_keys_are_used_on_while_user_service_is_away(
    users: LocalServer, time: Time, status: int, answer: Any
) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    users.answer = lambda _asked: (status, answer)
    for hours in range(1, 4):
        time.now += 3600
        assert keys.public_key("k1").public_numbers() == public("k1")
        until(lambda asked=hours + 1: len(users.requests) == asked, "it was asked again")  # type: ignore[misc]


def test_a_user_service_that_is_away_is_asked_at_most_every_ten_seconds(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    users.answer = lambda _asked: (500, {})
    time.now += 301
    for _ in range(5):
        keys.public_key("k1")
    until(lambda: len(users.requests) == 2, "it was asked again")
    time.now += 9
    keys.public_key("k1")
    assert len(users.requests) == 2
    time.now += 1
    keys.public_key("k1")
    until(lambda: len(users.requests) == 3, "it was asked a third time")


def test_an_unknown_key_is_looked_for_at_most_every_ten_seconds(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    time.now += 11
    for number in range(20):
        assert keys.public_key(f"forged-{number}") is None
    assert len(users.requests) == 2
    users.answer = lambda _asked: (200, jwks("k1", "k2"))
    time.now += 9
    assert keys.public_key("k2") is None
    time.now += 1
    assert keys.public_key("k2").public_numbers() == public("k2")
    assert len(users.requests) == 3


def test_an_unknown_key_is_not_there_while_user_service_is_away(users: LocalServer, time: Time) -> None:
    keys = JwksClient(users.url, clock=time)
    keys.public_key("k1")
    users.answer = lambda _asked: (500, {})
    time.now += 11
    assert keys.public_key("forged") is None
    assert keys.public_key("k1") is not None


def test_without_any_key_it_is_an_outage_that_ends_soon_after_user_service_is_back(
    users: LocalServer, time: Time
) -> None:
    users.answer = lambda _asked: (503, {})
    keys = JwksClient(users.url, clock=time)
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            keys.public_key("k1")
        assert refused.value.headers == {"Retry-After": "10"}
    assert len(users.requests) == 1
    users.answer = lambda _asked: (200, jwks("k1"))
    time.now += 1
    assert keys.public_key("k1").public_numbers() == public("k1")


def test_many_threads_that_miss_a_key_fetch_it_once(users: LocalServer) -> None:
    keys = JwksClient(users.url)
    found = at_once(8, lambda _number: keys.public_key("k1"))
    assert [key.public_numbers() for key in found] == [public("k1")] * 8
    assert len(users.requests) == 1


def test_threads_that_wait_for_keys_together_fail_together(users: LocalServer, time: Time) -> None:
    hanging = threading.Event()
    users.answer = lambda _asked: (200, {} if hanging.wait(60) else {})
    keys = JwksClient(users.url, timeout=0.3, clock=time)
    failed: list[Unavailable] = []

    def ask() -> None:
        with pytest.raises(Unavailable) as refused:
            keys.public_key("k1")
        failed.append(refused.value)

    with meanwhile(ask, threads=8, stop=hanging):
        until(lambda: len(failed) == 8, "all have failed")
    assert len(users.requests) == 1


def test_a_user_service_that_hangs_holds_a_request_for_its_time_out_only(users: LocalServer) -> None:
    hanging = threading.Event()
    users.answer = lambda _asked: (200, {} if hanging.wait(60) else {})
    try:
        with pytest.raises(Unavailable):
            JwksClient(users.url, timeout=0.05).public_key("k1")
    finally:
        hanging.set()


def test_the_check_fails_while_user_service_publishes_no_keys(users: LocalServer) -> None:
    keys = JwksClient(users.url)
    keys.check()
    users.answer = lambda _asked: (500, {})
    with pytest.raises(Unavailable, match=rf"^{users.url} answered 500\.$"):
        keys.check()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}), "answered 404. Check JWKS_URL"),
        ((200, {"status": "ok"}), "returned no keys"),
        ((200, None), "no keys"),
    ],
)
def test_an_address_without_keys_is_a_refusal_only_while_there_were_never_any(
    users: LocalServer, answer: tuple[int, Any], reason: str
) -> None:
    with_keys, without_keys = JwksClient(users.url), JwksClient(users.url)
    with_keys.check()
    users.answer = lambda _asked: answer
    with pytest.raises(Misconfigured, match=reason):
        without_keys.check()
    with pytest.raises(Unavailable, match=reason) as raised:
        with_keys.check()
    assert not isinstance(raised.value, Misconfigured)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_requests_to_user_service_ignore_a_proxy_of_the_environment(
    users: LocalServer, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    JwksClient(users.url).check()
    users.answer = granting(("t1", 3600))
    service_token(users).check()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_service_that_user_service_does_not_know_is_refused(users: LocalServer, status: int) -> None:
    users.answer = lambda _asked: (status, {"error": "invalid_client"})
    with pytest.raises(Misconfigured, match=f"/token answered {status}. Check CLIENT_ID, CLIENT_SECRET and TOKEN_URL"):
        service_token(users).check()


def granting(*granted: tuple[str, float]) -> Answer:
    """Answer with these tokens and lifetimes, one after the other; then no more."""
    left = list(granted)

    def answer(_asked: Asked) -> tuple[int, Any]:
        if not left:
            return 503, {}
        token, life = left.pop(0)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": life}

    return answer


def service_token(users: LocalServer, clock: Clock = monotonic) -> ClientCredentials:
    return ClientCredentials(f"{users.url}/token", "order-service", "s3cret:+/", clock=clock)


def test_the_service_token_is_asked_for_by_client_credentials(users: LocalServer) -> None:
    users.answer = granting(("t1", 3600))
    assert service_token(users)() == "t1"
    (asked,) = users.requests
    assert (asked.method, asked.path) == ("POST", "/token")
    assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"]}
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    expected = base64.b64encode(b"order-service:s3cret%3A%2B%2F").decode()
    assert asked.headers["Authorization"] == f"Basic {expected}"


def test_the_service_token_is_kept_for_half_of_its_life(users: LocalServer, time: Time) -> None:
    users.answer = granting(("t1", 3600), ("t2", 3600))
    token = service_token(users, time)
    assert token() == "t1"
    time.now += 1799
    assert token() == "t1"
    assert len(users.requests) == 1


def test_the_service_token_is_then_renewed_in_the_background(users: LocalServer, time: Time) -> None:
    returned, grant = threading.Event(), granting(("t1", 3600), ("t2", 3600))
    users.answer = grant
    token = service_token(users, time)
    token()
    users.answer = once(returned, grant)
    time.now += 1801
    assert token() == "t1"  # while user-service has not answered
    returned.set()
    until(lambda: token() == "t2", "the new token is used")
    assert len(users.requests) == 2


@pytest.mark.parametrize("seconds", [1801, 3599.5])
def test_a_request_with_an_expired_service_token_waits_for_its_renewal_in_the_background(
    users: LocalServer, time: Time, seconds: float
) -> None:
    answered, tokens = threading.Event(), []
    users.answer = granting(("t1", 3600))
    token = service_token(users, time)
    token()
    grant = granting(("t2", 3600), ("t3", 3600))
    users.answer = once(answered, grant)
    time.now += seconds
    assert token() == "t1"  # and its renewal begins
    until(lambda: len(users.requests) == 2, "the renewal is under way")
    time.now += 3600.1 - seconds
    with meanwhile(lambda: tokens.append(token()), threads=4, stop=answered):
        sleep(0.05)  # the threads come to wait
    assert (tokens, len(users.requests)) == (["t2"] * 4, 2)


def test_the_service_token_outlives_an_outage_of_user_service(users: LocalServer, time: Time) -> None:
    users.answer = granting(("t1", 3600))
    token = service_token(users, time)
    token()
    time.now += 1801
    for _ in range(5):
        assert token() == "t1"
    until(lambda: len(users.requests) == 2, "a renewal was tried")
    time.now += 9
    assert token() == "t1"
    assert len(users.requests) == 2
    time.now += 1700
    # the first try may not have ended yet, and there is one at a time
    until(lambda: token() == "t1" and len(users.requests) == 3, "a renewal was tried again")


def test_an_expired_service_token_is_not_used(users: LocalServer, time: Time) -> None:
    users.answer = granting(("t1", 3600))
    token = service_token(users, time)
    token()
    time.now += 3601
    with pytest.raises(Unavailable, match=r"/token answered 503\."):
        token()
    users.answer = granting(("t2", 3600))
    time.now += 1
    assert token() == "t2"


def test_a_rejected_service_token_is_invalidated_and_a_newer_token_is_not(users: LocalServer, time: Time) -> None:
    users.answer = granting(("t1", 3600), ("t2", 3600))
    token = service_token(users, time)
    assert token() == "t1"
    time.now += 2
    token.invalidate("t1")
    assert token() == "t2"
    token.invalidate("t1")  # by another thread, which used the old token
    assert token() == "t2"
    assert len(users.requests) == 2


@pytest.mark.parametrize("answer", [{}, [], None, {"access_token": "t"}, {"access_token": "t", "expires_in": "soon"}])
def test_an_answer_that_holds_no_token_is_an_outage(users: LocalServer, answer: Any) -> None:
    users.answer = lambda _asked: (200, answer)
    with pytest.raises(Unavailable):
        service_token(users)()


def test_threads_that_wait_for_a_token_together_fail_together(users: LocalServer, time: Time) -> None:
    hanging = threading.Event()
    users.answer = lambda _asked: (200, {} if hanging.wait(60) else {})
    token = ClientCredentials(users.url, "order-service", "secret", timeout=0.3, clock=time)
    failed: list[Unavailable] = []

    def ask() -> None:
        with pytest.raises(Unavailable) as refused:
            token()
        failed.append(refused.value)

    with meanwhile(ask, threads=8, stop=hanging):
        until(lambda: len(failed) == 8, "all have failed")
    assert len(users.requests) == 1
