"""Deadline, retries with backoff, bulkhead and circuit breaker, each on its own."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from order_service.resilience import AttemptFailed, Bulkhead, BulkheadFull, CircuitBreaker, Deadline, Retries
from tests.at_once import meanwhile
from tests.fake_time import FakeTime
from tests.waiting import until


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def retries(clock: FakeTime) -> Retries:
    return Retries(patience=4.0, min_attempt=1.0, backoff=(0.05, 0.5), clock=clock)


@pytest.fixture
def circuit_breaker(clock: FakeTime) -> CircuitBreaker:
    return CircuitBreaker(slow_call=1.0, clock=clock)


def failing(times: int, attempts: list[float], clock: FakeTime, seconds: float = 0.0) -> Callable[[], str]:
    """Return an attempt that takes so many seconds, and fails so many times before it succeeds."""

    def attempt() -> str:
        attempts.append(clock.slept)
        clock.sleep(seconds)
        if len(attempts) <= times:
            raise AttemptFailed("status 503")
        return "done"

    return attempt


def test_a_deadline_counts_down_and_may_be_past(clock: FakeTime) -> None:
    deadline = Deadline(2.0, clock)
    clock.sleep(1.5)
    assert deadline.remaining() == 0.5
    clock.sleep(1.5)
    assert deadline.remaining() == -1.0


def test_a_failed_attempt_is_repeated_after_a_delay_that_doubles_up_to_a_limit(
    retries: Retries, clock: FakeTime
) -> None:
    attempts: list[float] = []
    assert retries.run(failing(6, attempts, clock), Deadline(10.0, clock)) == "done"
    delays = [later - earlier for earlier, later in zip(attempts, attempts[1:], strict=False)]
    assert delays == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])


def test_no_attempt_begins_with_too_little_time_left_for_it(retries: Retries, clock: FakeTime) -> None:
    attempts: list[float] = []
    with pytest.raises(AttemptFailed, match="status 503"):
        retries.run(failing(100, attempts, clock), Deadline(4.0, clock))
    assert 2.5 < attempts[-1] <= 3.0


def test_a_slow_attempt_counts_for_the_deadline(retries: Retries, clock: FakeTime) -> None:
    attempts: list[float] = []
    with pytest.raises(AttemptFailed):
        retries.run(failing(100, attempts, clock, seconds=2.0), Deadline(4.0, clock))
    assert attempts == pytest.approx([0.0, 2.05])


def test_in_an_outage_each_call_gets_one_attempt_until_one_succeeds(retries: Retries, clock: FakeTime) -> None:
    with pytest.raises(AttemptFailed):
        retries.run(failing(100, [], clock), Deadline(4.0, clock))
    clock.sleep(2.0)  # the first failure is more than four seconds ago
    single: list[float] = []
    with pytest.raises(AttemptFailed):
        retries.run(failing(100, single, clock), Deadline(4.0, clock))
    assert len(single) == 1
    assert retries.run(failing(0, [], clock), Deadline(4.0, clock)) == "done"
    repeated: list[float] = []
    assert retries.run(failing(1, repeated, clock), Deadline(4.0, clock)) == "done"
    assert len(repeated) == 2


def test_other_errors_than_a_failed_attempt_are_not_repeated(retries: Retries, clock: FakeTime) -> None:
    attempts: list[float] = []

    def attempt() -> None:
        attempts.append(clock.slept)
        raise ValueError

    with pytest.raises(ValueError, match="^$"):
        retries.run(attempt, Deadline(4.0, clock))
    assert len(attempts) == 1


def test_a_bulkhead_lets_only_so_many_threads_in_and_frees_a_place_after_an_error() -> None:
    bulkhead = Bulkhead(1, "product-service")
    with pytest.raises(ZeroDivisionError), bulkhead.enter(wait=0):
        raise ZeroDivisionError
    with bulkhead.enter(wait=0), pytest.raises(BulkheadFull), bulkhead.enter(wait=0.01):
        pass
    with bulkhead.enter(wait=0):
        pass


def test_a_thread_waits_for_a_place_in_the_bulkhead() -> None:
    bulkhead, entered = Bulkhead(1, "product-service"), []

    def enter() -> None:
        with bulkhead.enter(wait=60):
            entered.append(True)

    with ExitStack() as threads:
        with bulkhead.enter(wait=0):
            threads.enter_context(meanwhile(enter))
            assert entered == []
        until(lambda: entered, "the thread has its place")


def test_a_failed_call_opens_the_circuit_and_a_good_answer_closes_it(
    circuit_breaker: CircuitBreaker, clock: FakeTime
) -> None:
    circuit_breaker.record_failure(clock.monotonic())
    assert circuit_breaker.is_open
    circuit_breaker.record_answer(clock.monotonic())
    assert not circuit_breaker.is_open


def test_a_slow_answer_opens_the_circuit(circuit_breaker: CircuitBreaker, clock: FakeTime) -> None:
    started = clock.monotonic()
    clock.sleep(1.0)
    circuit_breaker.record_answer(started)
    assert not circuit_breaker.is_open
    clock.sleep(0.1)
    started = clock.monotonic()
    clock.sleep(1.1)
    circuit_breaker.record_answer(started)
    assert circuit_breaker.is_open


def test_a_failure_while_another_call_got_a_good_answer_leaves_the_circuit_closed(
    circuit_breaker: CircuitBreaker, clock: FakeTime
) -> None:
    started = clock.monotonic()
    clock.sleep(0.5)
    circuit_breaker.record_answer(clock.monotonic())
    circuit_breaker.record_failure(started)
    assert not circuit_breaker.is_open
    clock.sleep(0.1)
    circuit_breaker.record_failure(clock.monotonic())
    assert circuit_breaker.is_open


def test_a_refused_connection_closes_the_circuit_because_it_takes_no_time(
    circuit_breaker: CircuitBreaker, clock: FakeTime
) -> None:
    circuit_breaker.record_failure(clock.monotonic())
    circuit_breaker.record_broken_connection()
    assert not circuit_breaker.is_open
