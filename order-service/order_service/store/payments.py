"""The payments of orders. Every change is a compare-and-set that names the attempt, in the order's own document.

A change to `declined` names the provider's reference that was read as well: an attempt without a reference may be
closed unseen only as long as nobody stores one.
"""

from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from chassis.mongo import DatabaseClock, Document, retry_and_translate
from order_service import metrics
from order_service.model import (
    CANCELLED,
    CONFIRMED,
    CUSTOMER,
    DELIVERED,
    PAID,
    SHIPPED,
    HistoryEntry,
    IdRange,
    Order,
    known_fields,
)
from order_service.payment.model import (
    CAPTURED,
    DECLINED,
    OPEN_PAYMENT,
    REFUND_DUE,
    REFUNDED,
    STARTED,
    UNKNOWN,
    Payment,
)
from order_service.payment.provider import Charge
from order_service.store.documents import to_order
from order_service.store.indexes import ANY_TIME, FAILING_SINCE, MAX_COUNT, find_due

_UNSETTLED: Document = {"payment.status": {"$in": [*OPEN_PAYMENT, REFUND_DUE]}}
_NOTHING_DUE: Document = {"payment_due": "", FAILING_SINCE: ""}


@retry_and_translate
class PaymentStore:
    """The payments, for the web service and the worker. `payment_due` is when the worker must act."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._orders = database.orders.with_options(read_concern=ReadConcern("majority"))
        self._clock = clock

    def start(self, order: Order, payment: Payment, *, settle_after: float) -> bool:
        """Write a new attempt, before the provider hears of it; return False if the order allows none now.

        It allows one if it is confirmed, and its payment is still what `order` says: none, or a declined one. For some
        seconds the worker leaves the attempt to the request.
        """
        expected = {"_id": order.id, "status": CONFIRMED, **_attempt(order.payment)}
        due = {"payment_due": self._after(settle_after)}
        changes = {"payment": known_fields(payment), "updated_at": self._clock(), **due}
        return self._orders.update_one(expected, {"$set": changes}).matched_count == 1

    def repeat(self, charge: Charge, *, settle_after: float) -> bool:
        """Leave an open attempt to a request that repeats it, for some seconds; return False if it has ended."""
        due = {"payment_due": self._after(settle_after)}
        return self._orders.update_one(_open(charge), {"$set": due}).matched_count == 1

    def save_reference(self, charge: Charge, reference: str) -> bool:
        """Store the provider's id of an open attempt; return False if it has ended or has another."""
        expected = _open(charge) | {"payment.reference": {"$in": [None, reference]}}
        return self._orders.update_one(expected, {"$set": {"payment.reference": reference}}).matched_count == 1

    def mark_unknown(self, charge: Charge, *, settle_after: float) -> None:
        """Note that the provider did not answer; the worker asks it later."""
        change = {"$set": {"payment.status": UNKNOWN, "payment_due": self._after(settle_after)}}
        if self._orders.update_one(_open(charge) | {"payment.status": STARTED}, change).matched_count:
            metrics.PAYMENTS[UNKNOWN].inc()
        else:
            self._orders.update_one(_open(charge), change)

    def settle_captured(self, charge: Charge, event: Document) -> None:
        """Note that the provider has taken the money: a confirmed order is paid, a cancelled one gets a refund.

        An order that an earlier version has shipped meanwhile keeps its status.
        """
        now = self._clock()
        taken = {"payment.status": CAPTURED, "payment.paid_at": now, "updated_at": now}
        entry = vars(HistoryEntry(PAID, now, CUSTOMER))
        told = {"$push": {"outbox": event, "history": entry}, "$unset": _NOTHING_DUE}
        refund = {"payment.status": REFUND_DUE, "payment_due": now}
        updates: dict[str, Document] = {
            CONFIRMED: {"$set": taken | {"status": PAID, "due": now}, **told},
            CANCELLED: {"$set": taken | refund, "$unset": {FAILING_SINCE: ""}},
            **dict.fromkeys((SHIPPED, DELIVERED), {"$set": taken | {"due": now}, **told}),
        }
        for status, update in updates.items():
            if self._orders.update_one(_open(charge) | {"status": status}, update).matched_count:
                metrics.count_captured(status)
                return

    def settle_declined(self, charge: Charge, pay_by: datetime | None) -> None:
        """Note that the provider has not taken the money and never will. The order can be paid until `pay_by`."""
        expected = _open(charge) | {"payment.reference": charge.reference}
        changes = {"payment.status": DECLINED, "updated_at": self._clock()}
        update: Document = {"$set": changes, "$unset": _NOTHING_DUE}
        if pay_by:
            update = {"$set": changes | {"payment_due": pay_by}, "$unset": {FAILING_SINCE: ""}}
        if self._orders.update_one(expected, update).matched_count:
            metrics.PAYMENTS[DECLINED].inc()

    def mark_refunded(self, charge: Charge, event: Document) -> None:
        """Note that the provider has given the money back, with the event in the same write."""
        now = self._clock()
        expected = {"_id": charge.order_id, "payment.status": REFUND_DUE, "payment.attempt": charge.attempt}
        refunded = {"payment.status": REFUNDED, "payment.refunded_at": now, "updated_at": now, "due": now}
        update = {"$set": refunded, "$push": {"outbox": event}, "$unset": _NOTHING_DUE}
        if self._orders.update_one(expected, update).matched_count:
            metrics.PAYMENTS[REFUNDED].inc()

    def due(self, ids: IdRange, limit: int, *, unsettled_only: bool = False) -> list[Order]:
        """Return orders whose payment must be settled, refunded or expired now, or only those that need a provider."""
        conditions = _UNSETTLED if unsettled_only else None
        found = find_due(self._orders, "payment_due", self._clock(), ids, conditions=conditions)
        return [to_order(document) for document in found.limit(limit)]

    def count_due(self, *, within: float) -> int:
        """Return how many payments must be looked up or refunded now or within some seconds."""
        due: Document = {"payment_due": {"$lte": self._after(within)}, **_UNSETTLED}
        return self._orders.count_documents(due, limit=MAX_COUNT)

    def oldest_due(self) -> datetime | None:
        """Return since when a payment is overdue or fails, of the one that waits longest; None if none waits.

        A payment that the provider has not decided is neither: it is asked about in time, and answers.
        """
        fields: dict[str, Document] = {"payment_due": {"$lte": self._clock()}, FAILING_SINCE: ANY_TIME}
        times = [self._earliest(field, condition) for field, condition in fields.items()]
        return min(filter(None, times), default=None)

    def delay(self, order_id: str, seconds: float) -> None:
        """Let the worker ask the provider later about a payment that it has not decided."""
        waiting = {"_id": order_id, "payment_due": {"$exists": True}}
        change = {"$set": {"payment_due": self._after(seconds)}, "$unset": {FAILING_SINCE: ""}}
        self._orders.update_one(waiting, change)

    def delay_failed(self, order_ids: list[str], seconds: float) -> None:
        """Let the worker try these payments again later, and note since when they fail."""
        waiting: Document = {"_id": {"$in": order_ids}, "payment_due": {"$exists": True}}
        self._orders.update_many(waiting, {"$set": {"payment_due": self._after(seconds)}})
        first_time = {**waiting, **_UNSETTLED, FAILING_SINCE: {"$exists": False}}
        self._orders.update_many(first_time, {"$set": {FAILING_SINCE: self._clock()}})

    def make_due(self, order_id: str) -> None:
        """Let the worker ask the provider now about an unknown payment or a refund. A request has the started ones."""
        expected = {"_id": order_id, "payment.status": {"$in": [UNKNOWN, REFUND_DUE]}}
        self._orders.update_one(expected, {"$set": {"payment_due": self._clock()}})

    def clear_due(self, order: Order) -> None:
        """Note that there is nothing to do for a payment now, if the order is still as it was read.

        An order that may still be paid becomes due again at its `pay_by`: a delay may have replaced that time.
        """
        unchanged = {"_id": order.id, "status": order.status, **_attempt(order.payment)}
        is_unpaid = order.status == CONFIRMED and order.pay_by
        change = {"$set": {"payment_due": order.pay_by}} if is_unpaid else {"$unset": {"payment_due": ""}}
        self._orders.update_one(unchanged, change)

    def _earliest(self, field: str, condition: Document) -> datetime | None:
        """Return the earliest time in a field of an unsettled payment."""
        query: Document = {field: condition, **_UNSETTLED}
        found: Any = self._orders.find_one(query, {field: True}, sort=[(field, ASCENDING)])
        for name in field.split(".") if found else ():
            found = found[name]
        time: datetime | None = found
        return time

    def _after(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)


def _attempt(payment: Payment | None) -> Document:
    """Return the condition that a payment is still in this attempt and status."""
    if payment is None:
        return {"payment": {"$exists": False}}
    return {"payment.attempt": payment.attempt, "payment.status": payment.status}


def _open(charge: Charge) -> Document:
    """Return the condition that the attempt of a charge is still open."""
    is_open = {"payment.attempt": charge.attempt, "payment.status": {"$in": OPEN_PAYMENT}}
    return {"_id": charge.order_id, **is_open}
