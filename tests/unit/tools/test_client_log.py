"""A chaos run compares the orders at its end with what its customers were answered."""

from typing import Any

import pytest

from tools.audit.invariants import check
from tools.chaos.client_log import ClientLog

Record = dict[str, Any]

OK, DECLINED = "pm_card_ok", "pm_card_declined"


def order(status: str, payment: str | None = None, by: str | None = None) -> Record:
    return {"id": "o1", "status": status, "payment": payment and {"status": payment}, "cancelled_by": by}


def log(*methods: str, paid: bool = False, cancelling: bool = False, cancelled: bool = False) -> ClientLog:
    """Return the log of an order that was answered 201."""
    log = ClientLog()
    log.placed("o1", "key")
    for method in methods:
        log.tries_to_pay("o1", method)
    log.paid.update({"o1"} if paid else ())
    log.cancelling.update({"o1"} if cancelling else ())
    log.cancelled.update({"o1"} if cancelled else ())
    return log


def found(log: ClientLog, *orders: Record) -> list[str]:
    return list(check("", "", log.compare({order["id"]: order for order in orders})).violations)


@pytest.mark.parametrize(
    ("log", "order"),
    [
        (log(), order("confirmed")),
        (log(), order("cancelled", None, "system")),
        (log(DECLINED), order("confirmed", "declined")),
        (log(DECLINED, OK), order("paid", "paid")),  # the answer was cut off
        (log(OK, paid=True), order("paid", "paid")),
        (log(OK, paid=True, cancelling=True, cancelled=True), order("cancelled", "refunded", "customer")),
        (log(OK, paid=True, cancelling=True), order("paid", "paid")),  # nobody knows what became of the cancellation
        (log(OK, cancelling=True, cancelled=True), order("cancelled", "refunded", "customer")),
    ],
)
def test_what_a_customer_may_have_expected_is_no_violation(log: ClientLog, order: Record) -> None:
    assert found(log, order) == []


@pytest.mark.parametrize(
    ("log", "order", "fault"),
    [
        (log(), order("failed"), "failed, but answered 201"),
        (log(OK, paid=True), order("confirmed", "started"), "confirmed, its payment started, but answered as paid"),
        (log(OK, paid=True), order("cancelled", "refunded", "system"), "cancelled by system, though paid"),
        (log(OK, paid=True), order("cancelled", "refunded", "customer"), "cancelled by customer, though paid"),
        (
            log(OK, paid=True, cancelling=True),
            order("cancelled", "refund_due", "customer"),
            "cancelled, its payment refund_due, but answered as paid",
        ),
        (log(OK), order("cancelled", None, "customer"), "cancelled by customer, though not asked to"),
        (log(DECLINED), order("paid", "paid"), "its payment is paid, but the card was declined"),
        (log(DECLINED, cancelling=True), order("cancelled", "refunded", "customer"), "its payment is refunded, but"),
        (log(), order("paid", "paid"), "paid, but by nobody"),
        (log(cancelling=True, cancelled=True), order("confirmed"), "confirmed, but answered as cancelled"),
    ],
)
def test_an_order_that_is_not_as_answered_is_a_violation(log: ClientLog, order: Record, fault: str) -> None:
    (violation,) = found(log, order)
    assert violation.startswith(f"order o1: {fault}")


def test_an_order_that_is_gone_is_a_violation() -> None:
    assert found(log()) == ["order o1: lost, but answered 201"]


def test_an_order_that_nobody_was_answered_is_a_violation_if_it_was_placed() -> None:
    assert found(ClientLog(), order("failed"), order("rejected") | {"id": "o2"}) == []
    assert found(ClientLog(), order("confirmed")) == ["order o1: confirmed, but no customer got an answer"]


def test_a_key_that_leads_to_two_orders_fails_the_run() -> None:
    one = log()
    one.placed("o2", "key")
    assert one.failures == ["key key led to orders ['o1', 'o2']"]
