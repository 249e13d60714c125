"""The balancer in front of replicas: connections go round, stay where they are, and break on command."""

import socket
import socketserver
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.at_once import meanwhile
from tools.stack import balancer, ports
from tools.stack.balancer import Balancer

LARGE = 5_000_000  # bytes; more than all buffers on the way hold


class Echo(socketserver.BaseRequestHandler):
    """Says which server it is, then returns what it receives until the client has sent everything."""

    def handle(self) -> None:
        self.request.sendall(b"%05d" % self.server.server_address[1])
        while received := self.request.recv(65536):
            self.request.sendall(received)


@pytest.fixture
def backends() -> Iterator[list[int]]:
    servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
    with servers[0], servers[1]:
        for server in servers:
            server.daemon_threads = True
        with (
            meanwhile(lambda: servers[0].serve_forever(poll_interval=0.01)),
            meanwhile(lambda: servers[1].serve_forever(poll_interval=0.01)),
        ):
            yield [server.server_address[1] for server in servers]
            for server in servers:
                server.shutdown()


@pytest.fixture
def in_front(backends: list[int]) -> Iterator[Balancer]:
    with balancer.running(ports.free_ports(1)[0], backends) as running:
        yield running


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(in_front: Balancer) -> Iterator[Connect]:
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", in_front.port), timeout=20))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


def backend_of(connection: socket.socket) -> int:
    return int(connection.recv(5) or 0)


def is_broken(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_connections_go_to_the_backends_in_turn(connect: Connect, backends: list[int]) -> None:
    assert Counter(backend_of(connect()) for _ in range(6)) == dict.fromkeys(backends, 3)


def test_an_open_connection_stays_with_a_backend_that_is_removed(
    in_front: Balancer, connect: Connect, backends: list[int]
) -> None:
    connections = {backend_of(connection): connection for connection in (connect(), connect())}
    removed, left = backends
    in_front.serve([left])
    connections[removed].sendall(b"still here")
    assert connections[removed].recv(10) == b"still here"
    assert [backend_of(connect()) for _ in range(3)] == [left] * 3


def test_everything_is_passed_on_in_both_directions_and_so_is_the_end(connect: Connect) -> None:
    connection, received = connect(), bytearray()
    backend_of(connection)
    sent = bytes(range(256)) * (LARGE // 256)

    def send() -> None:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)

    with meanwhile(send):
        while chunk := connection.recv(65536):
            received += chunk
    assert bytes(received) == sent


def test_dropping_breaks_what_is_open_and_takes_new_connections(in_front: Balancer, connect: Connect) -> None:
    connection = connect()
    backend_of(connection)
    in_front.drop()
    assert is_broken(connection)
    assert backend_of(connect())


@pytest.mark.parametrize("backends_left", [[], [1]], ids=["no backend", "a backend that refuses"])
def test_a_connection_that_no_backend_takes_is_broken_at_once(
    in_front: Balancer, connect: Connect, backends_left: list[int]
) -> None:
    in_front.serve(backends_left)
    assert is_broken(connect())
