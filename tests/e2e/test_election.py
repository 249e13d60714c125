"""An election of MongoDB's primary, imitated: for some seconds the database breaks every connection.

While it lasts, orders are answered 503, and soon after it they are placed again. The errors that a real election adds,
such as NotWritablePrimary, are in `tests/integration/test_election_errors.py`.
"""

import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests import ephemeral_servers
from tests.at_once import meanwhile
from tests.e2e.clients import Client, stock_of
from tests.e2e.conftest import SETTINGS
from tests.e2e.load import at_rest
from tests.e2e.shop import Shop
from tests.waiting import stalls, until
from tools.stack import balancer, ports
from tools.stack.balancer import Balancer
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack

ELECTION = 4.0  # s; longer than the database may take to be found (2 s)
BACK_WITHIN = 2.0  # s after the election
BUYERS = 6


@pytest.fixture(scope="module")
def database(mongodb_program: str) -> Iterator[tuple[str, Balancer]]:
    """The administrator's URL of a database server, and the proxy to which it leads."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    with ephemeral_servers.secured_mongodb("secret", mongodb_program) as url:
        own = urlsplit(url).port or 0
        with balancer.running(ports.free_ports(1)[0], [own]) as proxy:
            yield url.replace(f":{own}/", f":{proxy.port}/"), proxy


@pytest.fixture(scope="module")
def stack(database: tuple[str, Balancer]) -> Iterator[Stack]:
    """A stack that reaches its database through the proxy."""
    options = Options(settings=SETTINGS, mongo_url=database[0])
    running = Stack(Path(tempfile.mkdtemp(prefix="shop-")), free_ports(), options)
    try:
        running.up(stop_with_parent=True)
        yield running
    finally:
        running.destroy()


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Shop:
    return Shop.of(stack)


class Buyers:
    """Customers who order one unit again and again, and repeat an order that is answered 503 under the same key."""

    def __init__(self, shop: Shop, customer: Client, product_id: str) -> None:
        self.stop = threading.Event()
        self.orders: dict[str, str] = {}  # by key
        self.placed_at: list[float] = []
        self.refused: list[requests.Response] = []
        self.answers: Counter[int] = Counter()
        self._url = f"{shop.order_url}/orders"
        self._headers = {"Authorization": f"Bearer {customer.tokens['access_token']}"}
        self._body = {"product_id": product_id, "quantity": 1}

    def buy(self) -> None:
        """Place orders until it is stopped."""
        with requests.Session() as session:
            session.headers.update(self._headers)
            while not self.stop.is_set():
                self._place(session, uuid.uuid4().hex)

    def _place(self, session: requests.Session, key: str) -> None:
        while key not in self.orders:
            answer = session.post(self._url, json=self._body, headers={"Idempotency-Key": key}, timeout=30)
            self.answers[answer.status_code] += 1
            if answer.status_code == 201:
                self.orders[key] = answer.json()["id"]
                self.placed_at.append(time.monotonic())
            else:
                self.refused.append(answer)
                time.sleep(0.1)


def test_an_election_answers_503_and_then_goes_on_without_a_lost_or_doubled_order(
    stack: Stack, shop: Shop, database: tuple[str, Balancer], customer: Client, product: Callable[[int], str]
) -> None:
    pot, proxy = product(100_000), database[1]
    buyers, primary = Buyers(shop, customer, pot), proxy.backends
    with stalls() as late, meanwhile(buyers.buy, threads=BUYERS, stop=buyers.stop, seconds=60):
        until(lambda: len(buyers.orders) > 30, "orders are placed")
        proxy.serve([])
        proxy.drop()
        time.sleep(ELECTION)
        proxy.serve(primary)
        over = time.monotonic()
        placed = until(lambda: [at for at in buyers.placed_at if at > over], "orders are placed again")
        assert min(placed) - over < BACK_WITHIN + max(late)
        before = len(buyers.orders)
        until(lambda: len(buyers.orders) > before + 30, "orders go on")
    assert set(buyers.answers) == {201, 503}
    assert buyers.answers[503] >= BUYERS
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in buyers.refused)
    until(lambda: at_rest(stack), "every promise holds", seconds=60)
    assert len(set(buyers.orders.values())) == len(buyers.orders)
    assert stock_of(customer, pot) == 100_000 - len(buyers.orders)
