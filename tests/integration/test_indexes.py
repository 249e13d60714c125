"""No query of the API reads a whole collection, whatever it grows to.

Every query is taken from what the services really send. A MongoDB server that explains its plans is asked for each;
SecantusDB's build in Python does not, so there each query must have an index that was declared for it.
"""

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest

import notification_service.config
import user_service.config
from tests.integration.commands import Commands, recorded
from tests.integration.order_stack import ADMIN, ANA, Stack, order_stack
from tests.signing import PublishedKeys, bearer
from tools.stack.mongodb import FAST_STAND_IN, STAND_IN, MongoServer

SERVICE = bearer("service", user="order-service")
FILTERS = {"find": "filter", "findAndModify": "query"}

PRODUCT_LISTS = [
    "",
    "?q=mu",
    "?q=mug&category=kitchen&sort=price",
    "?category=kitchen&sort=-price",
    "?min_price=1.00&max_price=50.00&sort=price",
    "?in_stock=true&sort=newest",
    "?q=mug&min_price=5.00&in_stock=true",
    "?category=kitchen",
    "?in_stock=true&max_stock=9",
]
ORDER_LISTS = ["", "?status=confirmed"]


@pytest.fixture
def commands() -> Iterator[Commands]:
    with recorded() as commands:
        yield commands


@pytest.fixture
def stack(commands: Commands, mongo_server: MongoServer) -> Iterator[Stack]:
    with order_stack(mongo_server) as stack:
        for app in (stack.app, stack.products_app):
            assert app.test_client().get("/ready").status_code == 200  # which makes the indexes
        yield stack


def assert_served(server: MongoServer, commands: Commands) -> None:
    """Check that every query sent so far has an index."""
    with pymongo.MongoClient[dict[str, Any]](server.url()) as client:
        queries = [query for sent in commands.sent for query in queries_of(*sent)]
        assert queries
        for database, collection, condition, sort in queries:
            assert_has_index(server, client[database][collection], condition, sort)


def queries_of(database: str, name: str, command: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    """Return the collection, condition and order of each query in a command."""
    if name in FILTERS:
        yield database, command[name], command.get(FILTERS[name], {}), command.get("sort")
    if name == "aggregate":
        yield database, command[name], command["pipeline"][0]["$match"], None
    for update in command.get("updates", ()) if name == "update" else ():
        yield database, command[name], update["q"], None


def assert_has_index(server: MongoServer, collection: Any, condition: dict[str, Any], sort: Any) -> None:
    if server.program.name == STAND_IN:
        indexes = [["_id"], *(list(index["key"]) for index in collection.list_indexes())]
        assert is_served(indexes, condition, sort), (collection.name, condition, sort, indexes)
    else:
        plan = str(collection.find(condition, sort=list((sort or {}).items()) or None).explain()["queryPlanner"])
        assert "COLLSCAN" not in plan, (collection.name, condition, sort, plan)


def is_served(indexes: list[list[str]], condition: dict[str, Any], sort: Any) -> bool:
    """Tell whether an index narrows a query down or is in its order; of alternatives, each needs one."""
    fields = {field for part in (condition, *condition.get("$and", ())) for field in part if not field.startswith("$")}
    if any(keys[0] in fields or (sort and keys[: len(sort)] == list(sort)) for keys in indexes):
        return True
    alternatives = condition.get("$or", [])
    return bool(alternatives) and all(is_served(indexes, part, sort) for part in alternatives)


def test_orders(stack: Stack, commands: Commands, mongo_server: MongoServer) -> None:
    placed = stack.order(key="k").json["id"]
    again = stack.order(key="k")
    assert again.headers["Idempotent-Replayed"] == "true"
    client = stack.app.test_client()
    for headers in (ANA, ADMIN):
        for query in ORDER_LISTS:
            assert client.get(f"/orders{query}", headers=headers).status_code == 200
        assert client.get(f"/orders/{placed}", headers=headers).status_code == 200
    stack.worker().work()
    assert client.post(f"/orders/{placed}/cancel", headers=ANA).status_code == 200
    stack.recover()
    assert_served(mongo_server, commands)


def test_products(stack: Stack, commands: Commands, mongo_server: MongoServer) -> None:
    client = stack.products_app.test_client()
    stack.products.delete_many({})
    body = {"name": "Tall mug", "price": "9.90", "stock": 5, "category": "kitchen", "sku": "mug-1"}
    added = [client.post("/products", json=body | {"sku": sku}, headers=ADMIN) for sku in ("a", "b", "c")]
    first, second, _ = (answer.json["id"] for answer in added)
    path = f"/products/{first}"
    for query in PRODUCT_LISTS:
        page = client.get(f"/products{query or '?'}&limit=1").json
        assert page.get("next_cursor"), (query, page)
        assert client.get(f"/products{query or '?'}&limit=1&cursor={page['next_cursor']}").status_code == 200
    assert client.get(path).status_code == 200
    assert client.get(f"/products?ids={first},{second}&sort=price").status_code == 200
    assert client.get("/categories").status_code == 200
    assert client.patch(path, json={"price": "8.00"}, headers=ADMIN).status_code == 200
    assert client.post(f"{path}/stock", json={"change": 1}, headers=ADMIN).status_code == 200
    lines = {"lines": [{"product_id": first, "quantity": 1}, {"product_id": second, "quantity": 1}]}
    answers = [client.put("/reservations/o1", json=lines, headers=SERVICE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert client.get("/reservations?older_than=0", headers=SERVICE).status_code == 200
    assert client.delete("/reservations/o1", headers=SERVICE).status_code == 204
    assert client.delete(path, headers=ADMIN).status_code == 204
    assert_served(mongo_server, commands)


def test_categories_are_counted_in_an_index_alone(stack: Stack, commands: Commands, mongo_server: MongoServer) -> None:
    assert stack.products_app.test_client().get("/categories").status_code == 200
    [(database, _, command)] = [sent for sent in commands.sent if sent[1] == "aggregate"]
    match, group = (next(iter(stage.values())) for stage in command["pipeline"])
    assert {*match, group["_id"].removeprefix("$")} <= set(command["hint"])
    with pymongo.MongoClient[dict[str, Any]](mongo_server.url()) as client:
        products = client[database][command["aggregate"]]
        assert list(command["hint"]) in [list(index["key"]) for index in products.list_indexes()]
        if mongo_server.program.name not in (STAND_IN, FAST_STAND_IN):
            asked = {name: command[name] for name in ("aggregate", "pipeline", "hint")} | {"cursor": {}}
            plan = client[database].command("explain", asked, verbosity="queryPlanner")
            assert "IXSCAN" in str(plan)
            assert "FETCH" not in str(plan)


def test_no_order_changes_an_index_of_products(stack: Stack, commands: Commands, mongo_server: MongoServer) -> None:
    commands.forget()
    assert stack.order().status_code == 201
    [(_, _, write)] = [sent for sent in commands.sent if sent[1] == "bulkWrite"]
    changed = {field for update in write["ops"] if "update" in update for field in update["updateMods"]["$inc"]}
    assert changed == {"stock", "version"}
    with pymongo.MongoClient[dict[str, Any]](mongo_server.url()) as client:
        [namespace] = {each["ns"] for each in write["nsInfo"] if each["ns"].endswith(".products")}
        database, _, collection = namespace.partition(".")
        indexed = {field for index in client[database][collection].list_indexes() for field in index["key"]}
    assert (len(indexed) > 5, indexed & changed) == (True, set())


def test_notifications(
    commands: Commands, mongo_server: MongoServer, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notification_service.app.JwksClient", lambda _url: PublishedKeys())
    settings = notification_service.config.Settings(
        environment="development", mongo_url=mongo_url, jwks_url="http://unused", log_level="CRITICAL"
    )
    client = notification_service.create_app(settings).test_client()
    assert client.get("/ready").status_code == 200
    for headers in (ANA, ADMIN):
        for query in ("", "?order_id=order-1"):
            assert client.get(f"/notifications{query}", headers=headers).status_code == 200
    assert_served(mongo_server, commands)


def test_users(commands: Commands, mongo_server: MongoServer, mongo_url: str) -> None:
    settings = user_service.config.Settings(
        environment="development",
        mongo_url=mongo_url,
        service_clients={"s": "a secret"},
        log_level="CRITICAL",
    )
    app = user_service.create_app(settings)
    client = app.test_client()
    account = {"email": "ana@example.com", "password": "a long enough phrase"}
    assert client.get("/ready").status_code == 200
    assert client.post("/register", json=account).status_code == 201
    tokens = client.post("/login", json=account).json
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/users/me", headers=headers).status_code == 200
    assert client.post("/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 200
    assert client.post("/login", json=account | {"password": "a wrong enough phrase"}).status_code == 401
    keys = {"signing_keys", "keys"}
    commands.sent = [c for c in commands.sent if not keys & {str(c[2].get(c[1]))}]  # a handful, read as a whole
    assert_served(mongo_server, commands)
