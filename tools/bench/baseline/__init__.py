"""A naive order flow, to compare the shop with. It keeps none of the shop's promises.

Two buyers may get the same last item, a crash loses the event or the stock, a repeat orders twice. The libraries,
gunicorn's settings, the database, the broker and the access tokens are the same as the shop's.
"""

import os
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database


def connect_database() -> Database[dict[str, Any]]:
    """Return the database. Its writes are as durable as the shop's."""
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGO_URL"], w="majority", journal=True)
    return client[os.environ["DATABASE"]]
