"""What the customers of a chaos run were answered, and whether the orders at the end agree with it."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.audit.invariants import Expectation

DECLINED_METHOD = "pm_card_declined"
CAPTURED = ("paid", "refund_due", "refunded")  # statuses of a payment whose money was taken

Record = dict[str, Any]


@dataclass
class ClientLog:
    """The answers that all customers got. `orders` has the key of each order answered 201, by its id.

    `methods` has the methods with which an order was tried to pay, `paid` the orders answered as paid; `cancelling`
    has the orders that were asked to be cancelled, `cancelled` those that were answered as cancelled.
    """

    orders: dict[str, str] = field(default_factory=dict)
    methods: dict[str, set[str]] = field(default_factory=dict)
    paid: set[str] = field(default_factory=set)
    cancelling: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def placed(self, order_id: str, key: str) -> None:
        """Record an order that was answered 201. A key must always lead to the same order."""
        with self.lock:
            self.orders.setdefault(order_id, key)
            same_key = [other for other, its_key in self.orders.items() if its_key == key]
        if same_key != [order_id]:
            self.fail(f"key {key} led to orders {sorted({*same_key, order_id})}")

    def tries_to_pay(self, order_id: str, method: str) -> None:
        """Record a request to pay, before it is sent."""
        with self.lock:
            self.methods.setdefault(order_id, set()).add(method)

    def answered(self, kind: str, seconds: float) -> None:
        """Count an answer, or a missing answer."""
        with self.lock:
            self.answers[kind] += 1
            if kind == "order 201":
                self.seconds.append(seconds)

    def fail(self, what: str) -> None:
        """Record something that must never happen."""
        with self.lock:
            self.failures.append(what)

    def compare(self, orders: Mapping[str, Record]) -> Iterator[Expectation]:
        """Compare the answers with the audit records of the orders that exist."""
        for order_id in self.orders:
            fault = self._fault(orders.get(order_id, {"id": order_id, "status": "lost", "payment": None}))
            yield Expectation(not fault, f"order {order_id}: {fault}")
        for order_id, order in orders.items():
            is_known = order["status"] in ("failed", "rejected") or order_id in self.orders
            yield Expectation(is_known, f"order {order_id}: {order['status']}, but no customer got an answer")

    def _fault(self, order: Record) -> str:
        """Return what an order has become against its customer's knowledge; "" if nothing."""
        order_id, status = order["id"], order["status"]
        payment = (order["payment"] or {}).get("status")
        methods = self.methods.get(order_id, set())
        if status not in ("confirmed", "paid", "cancelled"):
            return f"{status}, but answered 201"
        if order_id in self.cancelled and status != "cancelled":
            return f"{status}, but answered as cancelled"
        if order_id in self.paid and (status, payment) not in (("paid", "paid"), ("cancelled", "refunded")):
            return f"{status}, its payment {payment}, but answered as paid"
        if payment in CAPTURED and methods <= {DECLINED_METHOD}:
            return f"its payment is {payment}, but the card was declined" if methods else "paid, but by nobody"
        if status == "cancelled" and not self._was_to_be_cancelled(order):
            return f"cancelled by {order['cancelled_by']}, though {'paid' if order_id in self.paid else 'not asked to'}"
        return ""

    def _was_to_be_cancelled(self, order: Record) -> bool:
        """Return whether the customer asked to cancel an order, or left it unpaid."""
        if order["cancelled_by"] == "system":
            return order["id"] not in self.paid
        return order["id"] in self.cancelling
