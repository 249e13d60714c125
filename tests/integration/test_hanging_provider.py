"""A payment provider that hangs, or answers drop by drop, costs a payment seconds and other requests nothing."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.at_once import at_once
from tests.integration.order_stack import ANA, Stack, order_stack
from tools.stack.mongodb import MongoServer

SHARE = 2  # of eight threads


@contextmanager
def dripping() -> Iterator[str]:
    """Serve an answer that never ends: a byte now and then, so that no timeout of a connection is ever reached."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while not ended.wait(0.1):
                try:
                    self.request.sendall(b"H")
                except OSError:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()


@pytest.fixture
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    settings = {"payment_provider": "stripe", "stripe_api_key": "sk_test_1"}
    with dripping() as url, order_stack(mongo_server, stripe_api_base=url, **settings) as stack:
        yield stack


def test_pay_answers_within_five_seconds_and_a_hanging_provider_takes_only_its_share_of_the_threads(
    stack: Stack,
) -> None:
    order_ids = [stack.order(1).json["id"] for _ in range(6)]

    def pay(number: int) -> tuple[int, float]:
        started = time.monotonic()
        answer = stack.pay(order_ids[number])
        return answer.status_code, time.monotonic() - started

    answers = at_once(len(order_ids), pay)
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 5
    assert sum(seconds > 3 for _, seconds in answers) == SHARE  # the others are told at once
    assert [thread.name for thread in threading.enumerate()].count("payment") == SHARE
    assert stack.app.test_client().get("/orders", headers=ANA).status_code == 200
    stack.check_invariants()
