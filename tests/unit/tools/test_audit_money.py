"""Promise 8 of the audit, and the events that an order's history demands, on records like those of order-service."""

from collections.abc import Iterator
from typing import Any

import pytest

from tools.audit.invariants import check, no_lost_order, no_money_astray
from tools.audit.snapshot import Snapshot

Record = dict[str, Any]

GRACE = 60.0
PAID = {"status": "paid", "attempt": 1, "amount": 1998, "provider": "simulated"}
LEDGER = {"kind": "ledger", "provider": "simulated"}


def order(status: str, *history: str, payment: Record | None = None, **fields: Any) -> Record:
    usual = {"kind": "order", "id": "o1", "user": "u", "has_phone": False, "key": None, "lines": [["p", 2]]}
    rest = {"outbox": {}, "release": False, "age": 100.0, "total": 1998, "unpaid_for": None, "cancelled_by": None}
    rest |= {"is_lost": False}
    return {**usual, **rest, "status": status, "history": list(history), "payment": payment, **fields}


def charge(attempt: int = 1, *refunds: int, **fields: Any) -> Record:
    rest = {"attempt": attempt, "amount": 1998, "refunds": list(refunds), "age": 100.0}
    return {"kind": "charge", "id": f"o1.{attempt}", "order": "o1", **rest, **fields}


def pay(status: str, **fields: Any) -> Record:
    return {**PAID, "status": status, **fields}


CONFIRMED = order("confirmed", "confirmed")
STANDS = order("paid", "confirmed", "paid", payment=PAID)
CANCELLED = order("cancelled", "confirmed", "paid", "cancelled", payment=pay("refunded"))
LOST = order("failed", "failed", user=None, total=None, is_lost=True)
AT_REST = {
    "lost, and given back": [LOST, charge(1, 1998), charge(2, 1000, 998)],
    "unpaid, no money": [CONFIRMED],
    "not to be paid: no provider, or an earlier version": [order("delivered")],
    "unpaid, there is time left": [CONFIRMED | {"unpaid_for": -5.0}],
    "unpaid for less than the grace": [CONFIRMED | {"unpaid_for": 59.0}],
    "declined": [CONFIRMED | {"payment": pay("declined")}],
    "expired": [order("cancelled", "confirmed", "cancelled", payment=pay("declined"), cancelled_by="system")],
    "paid": [STANDS, charge()],
    "paid just now": [STANDS | {"age": 0.0}],
    "delivered": [order("delivered", "confirmed", "paid", "shipped", "delivered", payment=PAID), charge()],
    "paid with the second attempt": [STANDS | {"payment": pay("paid", attempt=2)}, charge(2)],
    "refunded": [CANCELLED, charge(1, 1998)],
    "captured after it was cancelled": [CANCELLED | {"history": ["confirmed", "cancelled"]}, charge(1, 1998)],
    "being paid while the ledger is read": [CONFIRMED, charge(age=0.1)],
    "paid again while the ledger is read": [CONFIRMED | {"payment": pay("declined")}, charge(2, age=0.1)],
    "the clock of the ledger is behind": [STANDS, charge(age=59.0)],
    "paid with an earlier provider": [STANDS | {"payment": pay("paid", provider="stripe")}],
    "in motion": [CONFIRMED | {"payment": pay("started"), "age": 59.0}, charge(age=59.0)],
}
ASTRAY = {
    "lost, but kept": [LOST, charge()],
    "lost, and given back in part": [LOST, charge(1, 1000)],
    "the money is not there": [STANDS],
    "captured twice": [STANDS | {"payment": pay("paid", attempt=2)}, charge(1), charge(2)],
    "captured for an earlier attempt": [STANDS | {"payment": pay("paid", attempt=2)}, charge(1)],
    "too little captured": [STANDS, charge(amount=1997)],
    "another amount than the total": [STANDS | {"total": 5000}, charge()],
    "refunded, but it stands": [STANDS, charge(1, 1998)],
    "cancelled, but kept": [CANCELLED | {"payment": PAID}, charge()],
    "not refunded": [CANCELLED, charge()],
    "refunded twice": [CANCELLED, charge(1, 1998, 1998)],
    "refunded in part": [CANCELLED, charge(1, 999)],
    "refunded, but it stands by its status": [STANDS | {"payment": pay("refunded")}, charge(1, 1998)],
    "captured, but the order does not know": [CONFIRMED, charge()],
    "captured, but declined": [CONFIRMED | {"payment": pay("declined")}, charge()],
    "captured again after a decline": [CONFIRMED | {"payment": pay("declined", attempt=2)}, charge(1)],
    "paid without a payment": [order("paid", "confirmed", "paid")],
    "shipped, was paid, and lost the payment": [order("shipped", "confirmed", "paid", "shipped")],
    "paid, but not in the history": [STANDS | {"history": ["confirmed"]}, charge()],
    "open for too long": [CONFIRMED | {"payment": pay("started")}],
    "unknown for too long": [order("cancelled", "confirmed", "cancelled", payment=pay("unknown")), charge()],
    "a refund is due for too long": [CANCELLED | {"payment": pay("refund_due")}, charge()],
    "unpaid for too long": [CONFIRMED | {"unpaid_for": 60.0}],
    "rejected, but captured": [order("rejected", "rejected", total=None), charge()],
}


def broken(records: list[Record]) -> dict[str, str]:
    result = check("8", "", no_money_astray(Snapshot([*records, LEDGER], GRACE)))
    assert result.compared == sum(each["age"] >= GRACE for each in records)
    return result.violations


@pytest.mark.parametrize("records", AT_REST.values(), ids=AT_REST)
def test_money_in_its_place_is_no_violation(records: list[Record]) -> None:
    assert broken(records) == {}


@pytest.mark.parametrize("records", ASTRAY.values(), ids=ASTRAY)
def test_money_astray_is_found_and_names_the_order(records: list[Record]) -> None:
    (violation,) = broken(records)
    assert violation.startswith("order o1: ")


def test_a_charge_without_an_order_is_astray_once_it_is_old_enough() -> None:
    assert broken([charge(age=100.0)]) == {"charge o1.1: captured, but there is no order": ""}
    assert broken([charge(age=1.0)]) == {}


def test_without_a_ledger_no_payment_is_taken_on_trust() -> None:
    result = check("8", "", no_money_astray(Snapshot([STANDS], GRACE)))
    assert list(result.violations) == ["order o1: not what the provider's ledger says"]


@pytest.mark.parametrize(
    ("record", "events"),
    [
        (CONFIRMED, ["created"]),
        (STANDS, ["created", "paid"]),
        (CANCELLED, ["created", "paid", "cancelled", "refunded"]),
        (order("cancelled", "confirmed", "cancelled"), ["created", "cancelled"]),
        (order("cancelled", "confirmed", "cancelled", payment=pay("refund_due")), ["created", "cancelled"]),
        (order("delivered"), ["created", "shipped", "delivered"]),
        (order("delivered", "delivered"), ["created", "shipped", "delivered"]),
        (order("cancelled"), ["created", "cancelled"]),
        (order("rejected", "rejected"), []),
        (order("failed"), []),
    ],
    ids=lambda value: f"{value['status']} {value['history']}" if isinstance(value, dict) else "",
)
def test_the_history_says_which_events_must_be_notified(record: Record, events: list[str]) -> None:
    reservation = {"kind": "reservation", "order_id": "o1", "state": "held", "lines": record["lines"], "age": 100.0}
    missing = check("2", "", no_lost_order(Snapshot([record, reservation], GRACE))).violations
    assert list(missing) == [f"event o1.order_{event}: nobody was notified" for event in events]
    sent = check("2", "", no_lost_order(Snapshot([record, reservation, *notified(events)], GRACE)))
    assert sent.violations == {}


def notified(events: list[str]) -> Iterator[Record]:
    for event in events:
        yield {"kind": "notification", "event_id": f"o1.order_{event}", "channel": "email"}


def test_a_paid_order_holds_its_stock() -> None:
    (violation,) = check("2", "", no_lost_order(Snapshot([STANDS, *notified(["created", "paid"])], GRACE))).violations
    assert violation == "order o1: its stock is not held as ordered"
