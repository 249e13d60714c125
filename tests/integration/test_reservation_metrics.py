"""What product-service counts while many reserve at once, on a real database."""

from collections.abc import Iterator
from typing import Any

import pytest

from product_service.store.reservations import ReservationStore
from tests.at_once import at_once
from tests.counted import counted
from tests.integration.product_app import Shop, running

RETRIES = "shop_reservation_retries_total"


@pytest.fixture
def shop(mongo_url: str) -> Iterator[Shop]:
    with running(mongo_url) as shop:
        yield shop


def test_of_many_reservations_at_once_each_counts_once(shop: Shop) -> None:
    """Twelve orders, each sent twice, for eight units."""
    cup = shop.add(8)["id"]
    shop.transactions.timeout = 30
    with counted() as grown:
        at_once(24, lambda number: shop.reserve(f"o{number // 2}", (cup, 1)))
    grown.pop(RETRIES, None)
    assert grown == {
        "shop_reservations_total held": 8,
        "shop_reservations_total insufficient": 4,
        "shop_reservations_total repeated": 12,
        "shop_stockout_lines_total": 4,
    }
    assert shop.stock(cup) == 0


def test_a_reservation_whose_stock_changes_under_it_is_tried_again_and_counts_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup, read = shop.add(8)["id"], ReservationStore._read_offers

    def read_then_lose_stock(store: ReservationStore, requested: Any) -> Any:
        offers = read(store, requested)
        monkeypatch.setattr(ReservationStore, "_read_offers", read)
        shop.change_stock(cup, -6)
        return offers

    monkeypatch.setattr(ReservationStore, "_read_offers", read_then_lose_stock)
    with counted() as grown:
        assert shop.reserve("o1", (cup, 3)).status_code == 409
    assert grown == {RETRIES: 1, "shop_reservations_total insufficient": 1, "shop_stockout_lines_total": 1}
