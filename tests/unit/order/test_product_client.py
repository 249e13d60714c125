"""The client of product-service against a server that answers late, wrongly, or not at all."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

import order_service
from chassis.errors import Unavailable
from chassis.logs import bind_request_id
from order_service import placing, product_replies
from order_service.model import Item, Line, Outcome, ReservationResult
from order_service.product_client import ProductClient, ProductServiceMisconfigured, ProductServiceUnavailable
from tests.at_once import at_once, meanwhile
from tests.fake_time import FakeTime
from tests.local_server import Asked, serving
from tests.unit.order.order_app import SETTINGS, Shop, make_shop
from tests.waiting import stalls, until

ITEMS = (Item("mug", 2),)
LINE = {"product_id": "mug", "name": "Mug", "unit_price": "19.99", "quantity": 2}
HELD = {"order_id": "o1", "state": "held", "currency": "EUR", "lines": [LINE]}
RESERVED = ReservationResult(Outcome.RESERVED, (Line("mug", "Mug", 1999, 2),), "EUR")
PROBLEM = {
    "type": "insufficient-stock",
    "title": "Insufficient Stock",
    "status": 409,
    "detail": "Not enough stock of: mug.",
    "instance": "/reservations/o1",
    "request_id": "r",
    "lines": [{"product_id": "mug", "requested": 2, "available": 1}],
}


class Tokens:
    """Stands for ClientCredentials: gives a new token after each `invalidate`."""

    def __init__(self) -> None:
        self.number = 1

    def __call__(self) -> str:
        return f"token-{self.number}"

    def invalidate(self, token: str) -> None:
        assert token == self()
        self.number += 1


@contextmanager
def answering(*answers: tuple[int, Any], **options: Any) -> Iterator[tuple[ProductClient, list[Asked]]]:
    """Answer with these in turn, and with the last one again and again."""
    left = list(answers)
    with (
        serving(lambda _asked: left.pop(0) if len(left) > 1 else left[0]) as server,
        closing(server.url, **options) as client,
    ):
        yield client, server.requests


@contextmanager
def closing(url: str, *, max_concurrent: int = 4, token: Any = None, **options: Any) -> Iterator[ProductClient]:
    client = ProductClient(url, token or Tokens(), max_concurrent=max_concurrent, **options)
    yield client
    client._pool.renew()


@contextmanager
def frozen() -> Iterator[str]:
    """A server that accepts connections and never answers, like a stopped process."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def seconds_of(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def least_seconds_of(work: Callable[[], Any]) -> float:
    """Return the shortest of several runs: a real wait is in each of them, a delay of a busy machine is not."""
    return min(seconds_of(work) for _ in range(5))


def test_reserving_puts_the_lines_and_reads_the_prices() -> None:
    with answering((201, HELD)) as (client, asked), bind_request_id("request-7"):
        assert client.reserve("o1", (Item("mug", 2), Item("pen", 1))) == RESERVED
    assert [(request.method, request.path) for request in asked] == [("PUT", "/reservations/o1")]
    lines = [{"product_id": "mug", "quantity": 2}, {"product_id": "pen", "quantity": 1}]
    assert json.loads(asked[0].body) == {"lines": lines}
    assert asked[0].headers["Authorization"] == "Bearer token-1"
    assert asked[0].headers["X-Request-ID"] == "request-7"


def test_releasing_deletes_the_reservation() -> None:
    with answering((204, None)) as (client, asked):
        client.release("o1")
    assert [(request.method, request.path) for request in asked] == [("DELETE", "/reservations/o1")]


def test_reservations_are_read_page_by_page() -> None:
    page = {"items": [{"order_id": "o1", "state": "held", "created_at": "-"}], "next_cursor": "c2"}
    with answering((200, page)) as (client, asked):
        assert client.reservations(older_than=60.0, cursor=None) == ([("o1", "held")], "c2")
        client.reservations(older_than=1.5, cursor="c2")
    paths = ["/reservations?older_than=60.0&limit=100", "/reservations?older_than=1.5&limit=100&cursor=c2"]
    assert [request.path for request in asked] == paths


def test_stock_that_was_taken_before_is_found() -> None:
    with answering((200, HELD)) as (client, _):
        assert client.reserve("o1", ITEMS) == replace(RESERVED, outcome=Outcome.ALREADY_RESERVED)


@pytest.mark.parametrize(
    ("code", "outcome"), [("reservation-differs", Outcome.MISMATCH), ("reservation-released", Outcome.RELEASED)]
)
def test_a_conflict_is_recognised_by_its_type(code: str, outcome: Outcome) -> None:
    with answering((409, PROBLEM | {"type": code})) as (client, asked):
        assert client.reserve("o1", ITEMS) == ReservationResult(outcome)
    assert len(asked) == 1


def test_too_little_stock_is_a_refusal_and_is_not_repeated() -> None:
    with answering((409, PROBLEM)) as (client, asked):
        reservation = client.reserve("o1", ITEMS)
    refusal = reservation.refusal
    assert reservation.outcome is Outcome.REFUSED
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.title) == (409, "insufficient-stock", "Insufficient Stock")
    assert refusal.detail == "Not enough stock of: mug."
    assert refusal.members == {"lines": PROBLEM["lines"]}
    assert len(asked) == 1


def test_an_unknown_product_is_a_refusal() -> None:
    errors = [{"field": "product_id", "message": "there is no product 'mug'"}]
    with answering((422, PROBLEM | {"type": "unknown-product", "errors": errors})) as (client, _):
        refusal = client.reserve("o1", ITEMS).refusal
    assert refusal is not None
    assert (refusal.status, refusal.members["errors"]) == (422, errors)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_of_the_server_is_repeated(status: int) -> None:
    with answering((status, {}), (status, {}), (201, HELD)) as (client, asked):
        assert client.reserve("o1", ITEMS) == RESERVED
    assert [request.path for request in asked] == ["/reservations/o1"] * 3


def test_retries_end_with_the_deadline() -> None:
    clock = FakeTime()
    failure = pytest.raises(ProductServiceUnavailable, match=r"^product-service answered 503\.$")
    with answering((503, {}), clock=clock) as (client, asked), failure:
        client.reserve("o1", ITEMS)
    assert 2.0 < clock.slept <= 3.0  # of 4, since an attempt may take one
    assert 5 < len(asked) < 15


@pytest.mark.parametrize(("call", "limit"), [("reserve", 3.0), ("release", 1.0)])
def test_a_refused_connection_is_reported_within_the_deadline(call: str, limit: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    clock = FakeTime()
    with closing(url, clock=clock) as client, pytest.raises(ProductServiceUnavailable):
        getattr(client, call)("o1", *([ITEMS] if call == "reserve" else []))
    assert limit - 1 < clock.slept <= limit


def test_a_server_that_never_answers_costs_no_more_than_the_deadline() -> None:
    with frozen() as url, closing(url) as client, stalls() as late:
        spent = seconds_of(lambda: pytest.raises(ProductServiceUnavailable, client.reserve, "o1", ITEMS))
        assert 3.0 < spent < 4.2 + max(late)
        assert seconds_of(lambda: pytest.raises(ProductServiceUnavailable, client.release, "o1")) < 2.2 + max(late)
        assert least_seconds_of(lambda: pytest.raises(ProductServiceUnavailable, client.check)) < 1.0


def test_the_client_waits_longer_than_product_service_may_take() -> None:
    with answering((201, HELD)) as (client, _):
        request, timeouts = client._pool.request, []
        client._pool.request = lambda *a, **k: timeouts.append(k["timeout"]) or request(*a, **k)  # type: ignore[method-assign]
        client.reserve("o1", ITEMS)
        assert [timeout.read_timeout > 1.5 for timeout in timeouts] == [True]


def test_a_connection_that_the_server_had_closed_is_replaced() -> None:
    with answering((201, HELD)) as (client, asked):
        assert client.reserve("o1", ITEMS) == client.reserve("o1", ITEMS)
    assert len(asked) == 2


def test_kept_connections_are_given_up_when_one_of_them_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[int, Any] | None] = [None, (201, HELD)]
    with serving(lambda _asked: answers.pop(0)) as server, closing(server.url) as client:
        renewals: list[bool] = []
        with monkeypatch.context() as patch:
            patch.setattr(client._pool, "renew", lambda: renewals.append(True))
            assert client.reserve("o1", ITEMS) == RESERVED
    assert renewals == [True]


@pytest.mark.parametrize(
    "answer",
    [
        (200, None),
        (200, []),
        (200, "held"),
        (200, 7),
        (200, {}),
        (200, {"lines": [LINE]}),
        (200, HELD | {"lines": None}),
        (200, HELD | {"lines": [7]}),
        (200, HELD | {"lines": [{"product_id": "mug"}]}),
        (200, HELD | {"lines": [LINE | {"unit_price": "free"}]}),
        (200, HELD | {"lines": [LINE | {"unit_price": 20}]}),
        (200, HELD | {"lines": [LINE | {"quantity": "two"}]}),
        (201, None),
        (201, {}),
        (201, HELD | {"lines": None}),
        (202, HELD),
        (204, None),
        (401, {}),
        (403, {}),
        (404, {}),
        (409, None),
        (409, []),
        (409, {}),
        (409, PROBLEM | {"type": "conflict"}),
        (422, PROBLEM | {"type": "invalid-input"}),
        (422, "no"),
    ],
)
def test_an_answer_that_breaks_the_contract_counts_as_an_outage(answer: tuple[int, Any]) -> None:
    with answering(answer) as (client, _), pytest.raises(ProductServiceUnavailable):
        client.reserve("o1", ITEMS)


@pytest.mark.parametrize(
    "answer", [(200, None), (200, []), (200, {"items": []}), (200, {"items": [1], "next_cursor": None}), (422, {})]
)
def test_a_list_that_breaks_the_contract_counts_as_an_outage(answer: tuple[int, Any]) -> None:
    with answering(answer) as (client, _), pytest.raises(ProductServiceUnavailable):
        client.reservations(older_than=60, cursor=None)


def test_every_refusal_of_product_service_has_its_problem_in_this_service() -> None:
    refused = {code for code, outcome in product_replies._CONFLICTS.items() if outcome is Outcome.REFUSED}
    assert refused == placing.REJECTIONS.keys()


def test_a_call_after_a_quiet_hour_is_repeated_like_any_other() -> None:
    clock = FakeTime()
    with answering((201, HELD), (503, PROBLEM), (201, HELD), clock=clock) as (client, asked):
        client.reserve("o1", ITEMS)
        clock.sleep(3600)
        assert client.reserve("o2", ITEMS) == RESERVED
    assert len(asked) == 3


def test_calls_outside_the_full_bulkhead_are_refused_at_once_while_product_service_fails() -> None:
    def answer(_asked: Asked) -> tuple[int, Any]:
        time.sleep(0.3)
        return 503, PROBLEM

    with (
        serving(answer) as server,
        closing(server.url, max_concurrent=1) as client,
        meanwhile(lambda: pytest.raises(ProductServiceUnavailable, client.reserve, "o1", ITEMS)),
    ):
        until(lambda: client._circuit_breaker.is_open, "the first answer opens the circuit")
        misconfigurations: list[Any] = []
        shortest = least_seconds_of(
            lambda: misconfigurations.append(pytest.raises(ProductServiceUnavailable, client.reserve, "o2", ITEMS))
        )
        assert shortest < 0.2
        assert "Too many" in str(misconfigurations[0].value)


def test_one_failing_order_does_not_open_the_circuit_while_others_get_good_answers() -> None:
    others_are_answered, asked_again = Event(), Event()

    def answer(asked: Asked) -> tuple[int, Any]:
        if not asked.path.endswith("/starved"):
            return 201, HELD
        if others_are_answered.is_set():
            asked_again.set()
            return 201, HELD
        assert others_are_answered.wait(60)
        return 503, PROBLEM

    with serving(answer) as server, closing(server.url, max_concurrent=2) as client, ThreadPoolExecutor(1) as pool:
        starved = pool.submit(client.reserve, "starved", ITEMS)
        until(lambda: server.requests, "it is asked for")
        assert client.reserve("o1", ITEMS) == RESERVED
        others_are_answered.set()
        assert asked_again.wait(60)
        assert not client._circuit_breaker.is_open
        assert starved.result(60) == RESERVED


def test_a_token_that_is_refused_is_replaced_and_the_request_repeated() -> None:
    with answering((401, PROBLEM), (201, HELD)) as (client, asked):
        assert client.reserve("o1", ITEMS) == RESERVED
    assert [request.headers["Authorization"] for request in asked] == ["Bearer token-1", "Bearer token-2"]


def test_a_product_service_that_accepts_no_token_is_a_misconfiguration() -> None:
    with answering((401, PROBLEM), (401, PROBLEM)) as (client, asked):
        with pytest.raises(ProductServiceMisconfigured, match="accepts no token"):
            client.reserve("o1", ITEMS)
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ([(200, {}), (200, {"items": [], "next_cursor": None})], None),
        ([(404, PROBLEM)], "answers 404. Check PRODUCT_SERVICE_URL"),
        ([(200, {}), (404, PROBLEM)], "answers 404. Check PRODUCT_SERVICE_URL"),
        ([(200, {}), (403, PROBLEM)], "answers 403"),
        ([(200, {}), (401, PROBLEM), (401, PROBLEM)], "accepts no token"),
    ],
)
def test_the_check_reports_a_product_service_that_rejects_this_service(
    answers: list[tuple[int, Any]], refused: str | None
) -> None:
    with answering(*answers) as (client, asked):
        with pytest.raises(ProductServiceMisconfigured, match=refused) if refused else nullcontext():
            client.check()
        assert [request.path.partition("?")[0] for request in asked][:2] == ["/health", "/reservations"][: len(asked)]


def test_without_a_token_the_check_asks_only_for_the_health_of_product_service() -> None:
    def no_token() -> str:
        raise Unavailable("No service token from user-service.")

    with serving(lambda _asked: (200, {})) as server:
        ProductClient(server.url, no_token, max_concurrent=1).check()
        assert [request.path for request in server.requests] == ["/health"]


def test_without_a_token_nothing_is_sent() -> None:
    def no_token() -> str:
        raise Unavailable("No service token from user-service.")

    with serving(lambda _asked: (201, HELD)) as server:
        client = ProductClient(server.url, no_token, max_concurrent=1)
        for _ in range(3):  # the slot is free again each time
            with pytest.raises(ProductServiceUnavailable) as caught:
                client.reserve("o1", ITEMS)
            assert caught.value.detail == "No service token from user-service."
        assert server.requests == []


def test_a_call_waits_for_a_token_that_comes_late() -> None:
    clock = FakeTime()

    class LateTokens(Tokens):
        def __call__(self) -> str:
            if clock.slept < 1:
                raise Unavailable("No service token from user-service.")
            return super().__call__()

    with answering((201, HELD), token=LateTokens(), clock=clock) as (client, asked):
        assert client.reserve("o1", ITEMS) == RESERVED
    assert len(asked) == 1


def test_a_burst_of_orders_waits_for_the_bulkhead_while_product_service_answers() -> None:
    def answer(_asked: Asked) -> tuple[int, Any]:
        time.sleep(0.05)
        return 201, HELD

    with serving(answer) as server, closing(server.url, max_concurrent=2) as client:
        outcomes = at_once(12, lambda _number: client.reserve("o1", ITEMS))
    assert outcomes == [RESERVED] * 12


def test_while_product_service_hangs_half_of_the_threads_wait_and_the_others_are_refused_at_once() -> None:
    with frozen() as url, closing(url, max_concurrent=4) as client:
        with pytest.raises(ProductServiceUnavailable):
            client.release("o0")  # this opens the circuit
        with meanwhile(lambda: pytest.raises(ProductServiceUnavailable, client.reserve, "o1", ITEMS), threads=4):
            until(lambda: client._bulkhead._places._value == 0, "the four places are taken")
            assert least_seconds_of(lambda: pytest.raises(ProductServiceUnavailable, client.reserve, "o2", ITEMS)) < 0.2
            assert least_seconds_of(lambda: pytest.raises(ProductServiceUnavailable, client.release, "o2")) < 0.2
        assert client._bulkhead._places._value == 4


def test_people_list_their_orders_while_product_service_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    with frozen() as url, closing(url, max_concurrent=4) as client:
        shop = with_client(monkeypatch, client)
        started = time.monotonic()
        with stalls() as late, meanwhile(shop.order, threads=8) as threads:  # as many as a process has
            until(lambda: sum(thread.is_alive() for thread in threads) <= 4, "the others were refused", seconds=2.0)
            assert least_seconds_of(lambda: shop.get("/orders")) < 0.5
        assert time.monotonic() - started < 5.0 + max(late)
    assert {document["status"] for document in shop.documents()} == {"failed"}


def with_client(monkeypatch: pytest.MonkeyPatch, client: ProductClient) -> Shop:
    shop = make_shop(monkeypatch)
    monkeypatch.setattr("order_service.app.ProductClient", lambda *_args, **_kwargs: client)
    shop.client = order_service.create_app(SETTINGS).test_client()
    return shop


def test_half_of_a_processs_threads_may_wait_for_product_service(monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_shop(monkeypatch).products
    limits = []
    monkeypatch.setattr(
        "order_service.app.ProductClient", lambda *_, max_concurrent: limits.append(max_concurrent) or client
    )
    for threads in (1, 2, 8):
        order_service.create_app(SETTINGS.model_copy(update={"web_threads": threads}))
    assert limits == [1, 1, 4]
