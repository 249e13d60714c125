"""Running work in a transaction, within the time that a caller is ready to wait."""

from collections.abc import Callable
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database

from chassis.mongo import Document

T = TypeVar("T")

TRANSACTION_SECONDS = 1.5


def in_transaction(database: Database[Document], work: Callable[[ClientSession], T]) -> T:
    """Run `work` in a transaction, again after a write conflict, within the time a reservation may take."""
    with pymongo.timeout(TRANSACTION_SECONDS), database.client.start_session() as session:
        return session.with_transaction(work)
