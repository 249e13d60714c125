"""Abandoned transactions: of a server that froze, and of a process that died. And retries after write conflicts."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from chassis import mongo
from deploy import database as deployed
from product_service.store import Transactions
from tests.waiting import stalls, until
from tools import processes, throwaway
from tools.mongodb import MongoServer

SECONDS_TO_START = 60.0


@pytest.fixture
def own_server(mongodb_program: str) -> Iterator[MongoServer]:
    """A server that the test may freeze."""
    with throwaway.mongodb(mongodb_program) as server:
        deployed.require_primary(server.url(), SECONDS_TO_START)
        yield server


def take_one(products: Any, session: Any) -> int:
    change = {"$inc": {"stock": -1}}
    return int(products.update_one({"_id": "cup", "stock": {"$gte": 1}}, change, session=session).modified_count)


@pytest.fixture
def products(own_server: MongoServer) -> Iterator[Any]:
    database = mongo.connect(own_server.url(database="shop"), "test")
    with database.client:
        yield database.products


def sell_one(transactions: Transactions, products: Any) -> None:
    """Try until the product can be sold."""
    until(lambda: _sold(transactions, products), "the product can be sold", seconds=30)


def _sold(transactions: Transactions, products: Any) -> int:
    try:
        return transactions.run(lambda session: take_one(products, session), product_ids=["cup"])
    except PyMongoError as exc:
        return 0 if mongo.is_outage(exc) else pytest.fail(repr(exc))


class OutOfStock(Exception):
    """Ends a transaction."""


@pytest.mark.parametrize("freeze", ["before the first write", "after the first write", "before its end"])
def test_a_transaction_that_a_frozen_server_keeps_open_is_ended_when_the_server_continues(
    own_server: MongoServer, products: Any, freeze: str
) -> None:
    products.insert_one({"_id": "cup", "stock": 10})
    transactions = Transactions(products.database)
    pids = processes.find(own_server.home.parent)

    def interrupted(session: Any) -> None:
        products.find_one({"_id": "other"}, session=session)
        if freeze == "before the first write":
            processes.freeze(pids)
        take_one(products, session)
        processes.freeze(pids)
        if freeze == "before its end":
            raise OutOfStock
        take_one(products, session)

    with pytest.raises((PyMongoError, OutOfStock)):
        transactions.run(interrupted, product_ids=["cup"])
    time.sleep(1)  # the freeze lasts on
    processes.send(pids, signal.SIGCONT)
    thawed = time.monotonic()
    with stalls() as late:
        sell_one(transactions, products)
    assert time.monotonic() < thawed + 5 + max(late)
    assert products.find_one({"_id": "cup"}) == {"_id": "cup", "stock": 9}


@pytest.mark.usefixtures("ends_transactions_soon")
def test_a_transaction_that_a_killed_process_left_open_ends_soon(products: Any) -> None:
    products.insert_one({"_id": "cup", "stock": 10})
    killed = products.database.client.start_session()  # nobody ends it
    killed.start_transaction()
    take_one(products, killed)
    sell_one(Transactions(products.database), products)
    assert products.find_one({"_id": "cup"}) == {"_id": "cup", "stock": 9}


def test_a_transaction_is_retried_after_write_conflicts_until_it_succeeds(products: Any) -> None:
    products.insert_one({"_id": "cup", "stock": 10})
    attempts = 0
    with products.database.client.start_session() as other:
        other.start_transaction()
        take_one(products, other)

        def work(session: Any) -> int:
            nonlocal attempts
            attempts += 1
            if attempts == 21:
                other.commit_transaction()
            return take_one(products, session)

        assert Transactions(products.database).run(work, product_ids=["cup"]) == 1
    assert attempts >= 21  # with the driver's pauses, the time is over by then
    assert products.find_one({"_id": "cup"}) == {"_id": "cup", "stock": 8}
