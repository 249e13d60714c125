"""A replica set that elects a new primary: orders are refused for a moment, and none is lost, doubled or half done."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

import pytest

from tests.at_once import meanwhile
from tests.election import Election, election_before
from tests.integration.order_stack import Stack, order_stack
from tests.waiting import until
from tools.stack.mongodb import MongoServer

THREADS, ELECTIONS = 4, 2
SHORT, LONG = 0.7, 5.0  # s; an order is tried for 4 s
ENOUGH = 10_000


@pytest.fixture
def election(mongo_server: MongoServer) -> Iterator[Election]:
    with election_before(mongo_server.port) as election:
        yield election


@pytest.fixture
def stack(mongo_server: MongoServer, election: Election) -> Iterator[Stack]:
    with order_stack(replace(mongo_server, port=election.port)) as stack:
        stack.products.update_many({}, {"$inc": {"stock": ENOUGH, "received": ENOUGH}})
        yield stack


def number_placed(answers: dict[str, list[int]]) -> int:
    return sum(given[-1:] == [201] for given in list(answers.values()))


def test_an_election_costs_no_accepted_order(stack: Stack, election: Election) -> None:
    answers: dict[str, list[int]] = {}
    stop = Event()

    def buy() -> None:
        """Place orders, and repeat each under its key until it is answered."""
        while not stop.is_set():
            key = f"key-{len(answers)}-{time.monotonic_ns()}"
            answers[key] = []
            while not answers[key] or answers[key][-1] == 503:
                answer = stack.order(1, key, product_id="pen")
                answers[key].append(answer.status_code)
                assert answer.status_code in (201, 503), answer.text
                if answer.status_code == 503:
                    assert int(answer.headers["Retry-After"]) > 0
                    time.sleep(0.05)

    with meanwhile(buy, threads=THREADS, stop=stop, seconds=60.0):
        for _ in range(ELECTIONS):
            placed = number_placed(answers)
            until(lambda: number_placed(answers) > placed + THREADS, "orders pass")  # noqa: B023
            election.hold(LONG)
        placed = number_placed(answers)
        until(lambda: number_placed(answers) > placed + THREADS, "orders pass again", seconds=10)
    assert election.refused
    assert any(503 in given for given in answers.values())
    assert {given[-1] for given in answers.values()} == {201}
    keys = Counter(order["key"] for order in stack.orders.find({"status": "confirmed", "key": {"$in": list(answers)}}))
    assert keys == dict.fromkeys(answers, 1)
    stack.recover()
    stack.check_invariants()


def test_the_worker_goes_on_after_an_election(stack: Stack, election: Election) -> None:
    worker, stop = stack.worker(), Event()
    with meanwhile(lambda: worker.run(stop), stop=stop):
        first = stack.order(1).json["id"]
        until(lambda: f"{first}.order_created" in stack.events.ids, "its event is published")
        election.hold(SHORT)
        second = until(lambda: stack.order(1).json.get("id"), "orders pass again")
        until(lambda: f"{second}.order_created" in stack.events.ids, "its event is published")
