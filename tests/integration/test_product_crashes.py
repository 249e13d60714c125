"""product-service dies at every step of a reservation and of a release; order-service repeats the request."""

from collections.abc import Iterator

import pytest

import product_service
from product_service.config import Settings
from tests.integration import dying
from tests.integration.product_app import ORDERS, Shop, running
from tests.local_server import serving
from tests.model.actions import ACTIONS
from tests.signing import jwks
from tests.waiting import until

COMMIT = "pymongo.client_session:ClientSession"
INSERT = "pymongo.collection:Collection.insert_one"
RESERVE, RELEASE = ACTIONS["product.take"], ACTIONS["product.give_back"]
ANSWERED = "after flask:Flask.process_response"  # the answer exists, and is never sent
STOCK, LINES = 10, 2
IN_A_TRANSACTION = ("after product_service.store.reservations:bulk_write", f"before {COMMIT}.commit_transaction")
SECONDS_TO_ABORT = 30  # after 10 s the server ends a transaction of a dead process; it checks every few seconds

Line = tuple[str, int]


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@pytest.fixture
def shop(mongo_url: str) -> Iterator[Shop]:
    with running(mongo_url) as shop:
        yield shop


@pytest.fixture
def settings(mongo_url: str) -> Iterator[Settings]:
    with serving(lambda _asked: (200, jwks())) as users:
        yield Settings(environment="development", mongo_url=mongo_url, jwks_url=users.url, log_level="CRITICAL")


def reserve(settings: Settings, headers: dict[str, str], order_id: str, *lines: Line) -> None:
    Shop(product_service.create_app(settings), None).reserve(order_id, *lines, headers=headers)


def release(settings: Settings, headers: dict[str, str], order_id: str) -> None:
    Shop(product_service.create_app(settings), None).release(order_id, headers=headers)


def answered(shop: Shop, order_id: str, *lines: Line) -> int:
    """Repeat the request until it is answered, as order-service and its worker do."""

    def status() -> int:
        answer = shop.reserve(order_id, *lines) if lines else shop.release(order_id)
        return 0 if answer.status_code == 503 else answer.status_code

    return until(status, "there is an answer", seconds=SECONDS_TO_ABORT)


def assert_reserved(shop: Shop, units: int, *product_ids: str) -> None:
    for product_id in product_ids:
        assert (shop.stock(product_id), shop.held(product_id)) == (STOCK - units, units)
        shop.assert_invariant(product_id)


@pytest.mark.parametrize(
    "point",
    [f"before {RESERVE}", f"after {COMMIT}.commit_transaction", f"after {RESERVE}", ANSWERED],
)
def test_death_while_reserving(shop: Shop, settings: Settings, point: str) -> None:
    cup, pan = (shop.add(STOCK)["id"] for _ in range(2))
    dying.run(reserve, settings, ORDERS, "o1", (cup, LINES), (pan, LINES), point=point)
    status = answered(shop, "o1", (cup, LINES), (pan, LINES))
    assert status == (201 if point.startswith("before") else 200), "201 only if it was reserved just now"
    assert_reserved(shop, LINES, cup, pan)
    assert answered(shop, "o1") == 204
    assert_reserved(shop, 0, cup, pan)


@pytest.mark.parametrize("point", [f"before {INSERT}", f"after {INSERT}", ANSWERED])
def test_death_while_refusing(shop: Shop, settings: Settings, point: str) -> None:
    cup = shop.add(STOCK)["id"]
    dying.run(reserve, settings, ORDERS, "o1", (cup, STOCK + 1), point=point)
    assert answered(shop, "o1", (cup, STOCK + 1)) == 409
    assert_reserved(shop, 0, cup)
    assert shop.database.reservations.count_documents({}) == 1


@pytest.mark.parametrize(
    "point",
    [f"before {RELEASE}", f"after {COMMIT}.commit_transaction", f"after {RELEASE}", ANSWERED],
)
@pytest.mark.parametrize("reserved", [True, False], ids=["a reservation", "before its reservation"])
def test_death_while_releasing(shop: Shop, settings: Settings, point: str, reserved: bool) -> None:
    cup = shop.add(STOCK)["id"]
    if reserved:
        assert answered(shop, "o1", (cup, LINES)) == 201
    dying.run(release, settings, ORDERS, "o1", point=point)
    assert [answered(shop, "o1") for _ in range(2)] == [204, 204]
    assert answered(shop, "o1", (cup, LINES)) == 409
    assert_reserved(shop, 0, cup)


@pytest.mark.usefixtures("ends_transactions_soon")
def test_death_within_a_transaction_changes_nothing(shop: Shop, settings: Settings) -> None:
    cups = {point: shop.add(STOCK)["id"] for point in IN_A_TRANSACTION}
    pans = {point: shop.add(STOCK)["id"] for point in IN_A_TRANSACTION}
    for number, point in enumerate(IN_A_TRANSACTION):
        assert answered(shop, f"pan{number}", (pans[point], LINES)) == 201
        dying.run(reserve, settings, ORDERS, f"cup{number}", (cups[point], LINES), point=point)
        dying.run(release, settings, ORDERS, f"pan{number}", point=point)
    for number, point in enumerate(IN_A_TRANSACTION):
        assert answered(shop, f"cup{number}", (cups[point], LINES)) == 201
        assert answered(shop, f"pan{number}") == 204
        assert_reserved(shop, LINES, cups[point])
        assert_reserved(shop, 0, pans[point])
