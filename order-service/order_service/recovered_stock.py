"""Reserving the stock of living orders again: product-service may have been restored from an older backup."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from order_service.decisions import Decision, stock_missing
from order_service.model import CONFIRMED, DELIVERED, PAID, SHIPPED, Order, Outcome

if TYPE_CHECKING:
    from order_service.product_client import ProductClient

PRODUCTS_PER_QUERY = 50
URGENCY = (DELIVERED, SHIPPED, PAID, CONFIRMED)  # units that have left the shop are gone; other orders can be cancelled

_WHY = {
    Outcome.REFUSED: "product-service has refused the reservation, and says so again for 7 days.",
    Outcome.MISMATCH: "product-service has a reservation of the order with other lines.",
    Outcome.RELEASED: "product-service has released the reservation meanwhile.",
}


def reserve_again(products: "ProductClient", orders: Sequence[Order]) -> tuple[int, list[Decision]]:
    """Reserve the stock of each order under its id; return for how many, and what a person must decide.

    The stock is read first: product-service would keep a refusal for 7 days, and so refuse a repeat after more units
    have come. Raises ProductServiceUnavailable.
    """
    stock = _stock(products, {item.product_id for order in orders for item in order.items})
    reserved, decisions = 0, list[Decision]()
    for order in sorted(orders, key=_urgency):
        if lacking := _lacking(order, stock):
            decisions.append(stock_missing(order, "product-service has too few units.", lacking))
            continue
        outcome = products.reserve(order.id, order.items).outcome
        if outcome in _WHY:
            decisions.append(stock_missing(order, _WHY[outcome], []))
            continue
        reserved += 1
        for item in order.items if outcome is Outcome.RESERVED else ():
            stock[item.product_id] -= item.quantity
    return reserved, decisions


def _stock(products: "ProductClient", product_ids: Iterable[str]) -> dict[str, int]:
    ids, stock = sorted(product_ids), dict[str, int]()
    for start in range(0, len(ids), PRODUCTS_PER_QUERY):
        stock |= products.stock_of(ids[start : start + PRODUCTS_PER_QUERY])
    return stock


def _urgency(order: Order) -> tuple[int, datetime, str]:
    return URGENCY.index(order.status), order.created_at, order.id


def _lacking(order: Order, stock: dict[str, int]) -> list[dict[str, object]]:
    """Return the items with too few units; `available` is None for a product that is not for sale."""
    return [
        {"product_id": item.product_id, "requested": item.quantity, "available": stock.get(item.product_id)}
        for item in order.items
        if stock.get(item.product_id, -1) < item.quantity
    ]
