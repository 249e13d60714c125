"""Kept connections to a service that may run in several instances."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event

import pytest
import urllib3

from order_service.connections import MAX_AGE, RenewedConnections
from tests.at_once import meanwhile
from tests.fake_time import FakeTime
from tests.waiting import until

TIMEOUT = urllib3.Timeout(connect=5, read=30)


class Instance:
    """A server that keeps connections, and knows over which one each request came. `/held` waits to be let go."""

    def __init__(self) -> None:
        self.connections: list[tuple[str, int]] = []
        self.let_go = Event()
        instance = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                instance.connections.append(self.client_address)
                if self.path == "/held":
                    assert instance.let_go.wait(60)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def instance() -> Iterator[Instance]:
    made = Instance()
    with made.server, meanwhile(lambda: made.server.serve_forever(poll_interval=0.01)):
        yield made
        made.let_go.set()
        made.server.shutdown()


def test_a_connection_is_kept_for_some_seconds_and_then_replaced(instance: Instance) -> None:
    clock = FakeTime()
    connections = RenewedConnections(2, clock=clock)
    for _ in range(3):
        connections.request("GET", instance.url, timeout=TIMEOUT)
        clock.sleep(MAX_AGE / 2)
    first, second, third = instance.connections
    assert first == second != third
    connections.renew()


def test_no_connection_of_before_is_used_after_a_renewal(instance: Instance) -> None:
    connections = RenewedConnections(2)
    connections.request("GET", instance.url, timeout=TIMEOUT)
    connections.renew()
    connections.request("GET", instance.url, timeout=TIMEOUT)
    assert len(set(instance.connections)) == 2
    connections.renew()


def test_a_request_in_progress_is_answered_although_the_connections_are_renewed(instance: Instance) -> None:
    connections = RenewedConnections(2)
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(connections.request, "GET", f"{instance.url}/held", timeout=TIMEOUT)
        until(lambda: instance.connections, "the request has come in")
        connections.renew()
        instance.let_go.set()
        assert held.result(60).status == 204
    connections.renew()
