"""The decisions of a person after a restore: one JSON object each, with the reason and the possible actions."""

from typing import Any

from chassis.schemas import format_money, format_time
from order_service.model import CONFIRMED, PAID, Order
from order_service.payment.provider import LedgerEntry
from order_service.told import Told

Decision = dict[str, Any]

LOST, BEHIND, STOCK_MISSING, MONEY = "order-lost", "order-behind", "stock-missing", "money"

LOST_NOTE = "Lost by a restore: it was placed after the backup, or it was never finished."


def order_lost(order: Order, told: Told | None) -> Decision:
    """Describe an order that the restored orders lack. Its failed order has the note, its stock is released."""
    return {
        "decide": LOST,
        "order_id": order.id,
        "user_id": told.user_id if told else None,
        "told": told.event_types if told else [],
        "noted_at": format_time(order.created_at),
        "why": "The restored orders lack it: it was placed after their backup. Without `told` it may never have been"
        " finished. Its stock is released.",
        "can": "Tell the buyer, who can order again. GET /notifications?order_id= shows what the mails said.",
    }


def order_behind(order: Order, ahead: list[str], reservation: str) -> Decision:
    """Describe an order that has changed after its backup: its buyer was told more, or its stock is released."""
    return {
        "decide": BEHIND,
        **_names(order),
        "told": ahead,
        "reservation": reservation,
        "why": "The order has changed after its backup. Meanwhile it does not expire.",
        "can": "Do again what was done: cancel it, ship it, deliver it. The mails in `told` are not sent again.",
    }


def stock_missing(order: Order, why: str, lines: list[dict[str, Any]]) -> Decision:
    """Describe a living order whose stock cannot be reserved. `lines` are those with too few units."""
    add = "Add the units that are there to the product, and repeat the recovery"
    return {
        "decide": STOCK_MISSING,
        **_names(order),
        "lines": lines,
        "why": why,
        "can": f"{add}; or cancel the order." if order.status in (CONFIRMED, PAID) else f"{add}: the order is sent.",
    }


def money_astray(entry: LedgerEntry, order: Order | None) -> Decision:
    """Describe a charge of the payment provider that the order does not know, or knows in another state."""
    return {
        "decide": MONEY,
        "order_id": entry.order_id,
        "status": order.status if order else None,
        "attempt": entry.attempt,
        "taken": format_money(entry.amount),
        "refunded": format_money(sum(entry.refunds)),
        "why": "The payment provider knows more than the order.",
        "can": "Refund at the provider what was taken for nothing; cancel an order whose money was given back.",
    }


def _names(order: Order) -> Decision:
    return {"order_id": order.id, "user_id": order.buyer.id if order.buyer else None, "status": order.status}
