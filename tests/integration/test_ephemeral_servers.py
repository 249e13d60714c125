"""The databases of tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests import ephemeral_servers
from tools.stack.mongodb import MONGOD, STAND_IN, MongoServer


@pytest.mark.parametrize(("program", "kept"), [(MONGOD, False), (STAND_IN, True)])
def test_a_mongod_drops_the_database_of_a_test_at_its_end(mongo_server: MongoServer, program: str, kept: bool) -> None:
    server = replace(mongo_server, program=Path(program))
    with pymongo.MongoClient[dict[str, Any]](mongo_server.url()) as client:
        with ephemeral_servers.database(server) as url:
            name = pymongo.uri_parser.parse_uri(url)["database"]
            client[name].things.insert_one({})
        assert (name in client.list_database_names()) is kept
