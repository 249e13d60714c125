"""Paying an order: the saga across order-service and the payment provider. `tests/model/payment.py` specifies it.

The order's document is the log: first the state is written, then the provider is called, then a compare-and-set writes
what it said. Three rules keep the money right:

- A lost answer is neither yes nor no. While an attempt is open, only the same attempt is repeated.
- Only the provider closes an attempt: by an answer, or by a look-up, after which a late capture is refused.
- Money that was taken for an order that does not stand is given back.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, Problem
from order_service import events, metrics
from order_service.model import CANCELLED, CONFIRMED, SYSTEM, Order
from order_service.orders import Orders, WrongState
from order_service.payment.charges import charge_of
from order_service.payment.limits import CallLimiter, Place
from order_service.payment.model import CAPTURED, DECLINED, OPEN_PAYMENT, REFUND_DUE, REFUNDED, STARTED, Payment
from order_service.payment.provider import (
    AttemptEnded,
    CaptureResult,
    Charge,
    PaymentProvider,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from order_service.transition import Transition

if TYPE_CHECKING:
    from order_service.store import PaymentStore

SETTLE_STARTED_AFTER = 15.0  # s; a request that makes or repeats an attempt has ended by then
SETTLE_UNKNOWN_AFTER = 4.0  # s; longer than CALL_TIMEOUT, so that other requests of the attempt have ended as well

log = logging.getLogger(__name__)


class PaymentsDisabled(Conflict):
    """This shop takes no payments: it has no payment provider."""

    code, title = "payments-disabled", "Payments Disabled"


class PaymentDeclined(Problem):
    """The payment provider declined the payment. The order stands; try again, perhaps with another method."""

    status, code, title = 402, "payment-declined", "Payment Declined"


@dataclass(frozen=True)
class Payments:
    """Pays orders, and settles what a crash or a lost answer has left open."""

    orders: Orders
    store: "PaymentStore"
    provider: PaymentProvider | None
    limiter: CallLimiter
    clock: Callable[[], datetime]

    def pay(self, order_id: str, owner: str, method: str) -> Order:
        """Pay an order and return it; a repeat returns the paid order.

        Raises NotFound, PaymentsDisabled, Invalid, PaymentDeclined, WrongState, ProviderUnavailable.
        """
        order = self.orders.get(order_id, owner)
        if self.provider is None:
            raise PaymentsDisabled("This shop takes no payments. Its PAYMENT_PROVIDER is none.")
        self.provider.check_method(method)
        reason = ""
        if order.status == CONFIRMED:
            if not order.total:
                raise WrongState("The order costs nothing, so there is nothing to pay.")
            with self.limiter.place() as place:  # before anything is written: without a place nothing is sent
                order, reason = self._attempt(order, self.provider, method, place)
        return _reply(order, reason)

    def needs_provider(self, order: Order) -> bool:
        """Return whether only the provider can settle the payment of an order."""
        return order.payment is not None and order.payment.status in (*OPEN_PAYMENT, REFUND_DUE)

    def settle(self, order: Order) -> None:
        """Do what is due for the payment of an order: ask the provider, refund, or expire the order.

        Raises ProviderUnavailable.
        """
        if self.needs_provider(order):
            with self.limiter.place() as place:
                self._settle(order, self._provider_of(order), place)
        elif order.status == CONFIRMED and order.pay_by and order.pay_by <= self.clock():
            self._expire(order)
        else:
            self.store.clear_due(order)

    def ask_again(self, order_id: str) -> None:
        """Let the worker ask the provider about an order now. An unknown order, or one with nothing open, is fine."""
        self.store.make_due(order_id)

    def _attempt(self, order: Order, provider: PaymentProvider, method: str, place: Place) -> tuple[Order, str]:
        """Make an attempt to pay, or repeat the open one; return the order after that, and why it was declined."""
        while order.status == CONFIRMED:
            if order.payment and order.payment.status in OPEN_PAYMENT:
                is_ours = self.store.repeat(charge_of(order), settle_after=SETTLE_STARTED_AFTER)
            else:
                attempt = order.payment.attempt + 1 if order.payment else 1
                payment = Payment(STARTED, attempt, provider.name, method, order.total or 0)
                is_ours = self.store.start(order, payment, settle_after=SETTLE_STARTED_AFTER)
                order = replace(order, payment=payment)
            if is_ours:
                return self._capture(order, place)
            order = self.orders.get(order.id, None)
        return order, ""

    def _capture(self, order: Order, place: Place) -> tuple[Order, str]:
        """Let the provider take the money; return the order after that, and why it was declined."""
        charge = charge_of(order)

        def save_reference(reference: str) -> None:
            nonlocal charge
            if not self.store.save_reference(charge, reference):
                raise AttemptEnded
            charge = replace(charge, reference=reference)

        try:
            with metrics.provider_call("capture"):
                result = place.call(self._provider_of(order).capture, charge, save_reference)
        except AttemptEnded:
            return self.orders.get(order.id, None), ""
        except ProviderUnavailable as exc:
            self.store.mark_unknown(charge, settle_after=SETTLE_UNKNOWN_AFTER)
            raise _for_buyers(exc) from exc
        return self._write(order, charge, result), result.reason

    def _settle(self, order: Order, provider: PaymentProvider, place: Place) -> None:
        """Ask the provider about an open attempt, or let it give the money back."""
        charge = charge_of(order)
        if order.payment and order.payment.status in OPEN_PAYMENT:
            with metrics.provider_call("look_up"):
                result = place.call(provider.look_up, charge)
            self._write(order, charge, result)
        else:
            with metrics.provider_call("refund"):
                place.call(provider.refund, charge)
            self.store.mark_refunded(charge, self._event(events.ORDER_REFUNDED, order, REFUNDED))

    def _write(self, order: Order, charge: Charge, result: CaptureResult) -> Order:
        """Write what the provider said of an attempt, if that is still open; return the order after that."""
        if result.is_captured:
            self.store.settle_captured(charge, self._event(events.ORDER_PAID, order, CAPTURED))
        else:
            self.store.settle_declined(charge, order.pay_by)
        return self.orders.get(order.id, None)

    def _expire(self, order: Order) -> None:
        """Cancel an order that was not paid in time. If somebody is paying it now, the attempt is settled first."""
        now = self.clock()
        event = events.order_event(events.ORDER_CANCELLED, order, now, reason="unpaid")
        self.orders.store.transition(order.id, Transition(CONFIRMED, CANCELLED, SYSTEM, now, event))

    def _event(self, event_type: str, order: Order, status: str) -> dict[str, object]:
        """Return the event that an order will have with this status of its payment."""
        payment = replace(order.payment, status=status) if order.payment else None
        return events.order_event(event_type, replace(order, payment=payment), self.clock())

    def _provider_of(self, order: Order) -> PaymentProvider:
        """Return the provider of an order's payment. Raises ProviderMisconfigured if the settings name another."""
        used = order.payment.provider if order.payment else None
        if self.provider is None or self.provider.name != used:
            raise ProviderMisconfigured(
                f"A payment through {used} is open. Set PAYMENT_PROVIDER to it until it has ended."
            )
        return self.provider


def _for_buyers(exc: ProviderUnavailable) -> ProviderUnavailable:
    """Return the problem to answer; a misconfiguration is for the log, and no business of the buyer."""
    if not isinstance(exc, ProviderMisconfigured):
        return exc
    log.error("misconfigured: the payment provider: %s", exc.detail)
    return ProviderUnavailable("The payment provider cannot be used at the moment. Please try again later.")


def _reply(order: Order, reason: str) -> Order:
    """Return a paid order. Raises PaymentDeclined, WrongState, ProviderUnavailable."""
    status = order.payment.status if order.payment else None
    if status == CAPTURED:
        return order
    if order.status != CONFIRMED:
        is_taken = status in (REFUND_DUE, REFUNDED)
        refunded = " What was taken for it is given back." if is_taken else ""
        raise WrongState(f"The order is {order.status}. Only a {CONFIRMED} order can be paid.{refunded}")
    if status == DECLINED:
        raise PaymentDeclined(reason or "The payment was declined.")
    raise ProviderUnavailable("The payment is not decided yet. Repeat the request, or read the order.")
