"""The money of an order: its payment against the charges in the provider's ledger.

What is said here holds of an order at rest, which has not changed for some time.
"""

from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]

UNFINISHED = {
    "started": "not known whether its payment was captured",
    "unknown": "not known whether its payment was captured",
    "refund_due": "not refunded",
}
KEPT, RETURNED = "paid", "refunded"
STATUSES = {KEPT: ("paid", "shipped", "delivered"), RETURNED: ("cancelled",)}  # of the order, by that of its payment
NO_PAYMENT = {"status": "none", "attempt": 0, "amount": None, "provider": None}


def fault(order: Record, charges: Sequence[Record], provider: str | None, grace: float) -> str:
    """Return what is wrong with the money of an order; "" if nothing is.

    `charges` are those of the order, `provider` is whose ledger was read. It was read after the orders, so a charge
    younger than `grace` seconds may belong to a payment that the order's record does not have yet.
    """
    if order["is_lost"]:
        return "lost by a restore, but money is kept" if any(map(_is_kept, charges)) else ""
    payment = order["payment"] or NO_PAYMENT
    status = payment["status"]
    if status in UNFINISHED:
        return UNFINISHED[status]
    if order["unpaid_for"] is not None and order["unpaid_for"] >= grace:
        return "unpaid past its time, but not cancelled"
    if not _agree(order, payment):
        return f"{order['status']}, but its payment is {status}"
    captured = [
        (charge["attempt"], charge["amount"], charge["refunds"])
        for charge in charges
        if charge["age"] >= grace or charge["attempt"] == payment["attempt"]
    ]
    return "" if captured == _expected(order, payment, provider) else "not what the provider's ledger says"


def _is_kept(charge: Record) -> bool:
    return bool(sum(charge["refunds"]) != charge["amount"])


def _agree(order: Record, payment: Record) -> bool:
    """Return whether an order has the status, history and total that its payment demands."""
    statuses = STATUSES.get(payment["status"])
    if statuses is None:
        return "paid" not in (order["status"], *order["history"])
    was_paid = payment["status"] == RETURNED or "paid" in order["history"]
    return order["status"] in statuses and was_paid and payment["amount"] == order["total"]


def _expected(order: Record, payment: Record, provider: str | None) -> list[tuple[int, int, list[int]]]:
    """Return attempt, amount and refunds of the charges that the ledger must have: one at most, refunded at most once.

    Another provider's ledger has none.
    """
    if payment["status"] not in STATUSES or payment["provider"] != (provider or payment["provider"]):
        return []
    refunds = [order["total"]] if payment["status"] == RETURNED else []
    return [(payment["attempt"], order["total"], refunds)]
