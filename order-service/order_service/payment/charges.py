"""The charge of an order: the part of it that the payment provider gets."""

from order_service.model import Order
from order_service.payment.provider import Charge


def charge_of(order: Order) -> Charge:
    """Return the charge of the present attempt to pay an order."""
    payment = order.payment
    if payment is None:
        raise ValueError(f"order {order.id} has no payment")
    return Charge(order.id, payment.attempt, payment.amount, order.currency or "", payment.method, payment.reference)
