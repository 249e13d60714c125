"""Clients that never finish what they send hold up nobody else, where the gateway stands in front of the services."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.shop import Shop

CLIENTS = 100  # several times the threads of a service
UNFINISHED = {
    "header": "POST /login HTTP/1.1\r\nHost: shop\r\n",
    "body": "POST /login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.fixture(params=UNFINISHED)
def slow_clients(request: pytest.FixtureRequest, shop: Shop) -> Iterator[None]:
    if shop.stack:
        pytest.skip("gunicorn is not protected from slow clients; the gateway is, and compose has it")
    address = urlsplit(shop.user_url)
    with ExitStack() as connections:
        for _ in range(CLIENTS):
            connection = connections.enter_context(socket.create_connection((address.hostname, address.port)))
            connection.sendall(UNFINISHED[request.param].encode())
        time.sleep(0.5)
        yield


@pytest.mark.usefixtures("slow_clients")
def test_a_hundred_slow_clients_do_not_hold_a_service(shop: Shop) -> None:
    for _ in range(5):
        assert requests.get(f"{shop.user_url}/health", timeout=2).status_code == 200
