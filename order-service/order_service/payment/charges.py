"""What a payment provider must know of an order."""

from order_service.model import Order
from order_service.payment.provider import Charge


def charge_of(order: Order) -> Charge:
    """Return what the provider must know of the present attempt to pay an order."""
    payment = order.payment
    if payment is None:
        raise ValueError(f"order {order.id} has no payment")
    return Charge(order.id, payment.attempt, payment.amount, order.currency or "", payment.method, payment.reference)
