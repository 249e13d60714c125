"""The words of notifications. To notify users of another event, add its words here and bind it in the topology."""

from dataclasses import dataclass

from notification_service.model import Event


@dataclass(frozen=True)
class Wording:
    """The words for one type of event. A name in braces is a part of the event; unknown parts are left out.

    The sentence is the whole SMS, and begins an e-mail. `payment` labels the amount that was paid.
    """

    subject: str
    heading: str
    sentence: str
    payment: str = "Paid"


WORDINGS = {
    "order_created": Wording(
        "Your order {order} is confirmed",
        "Your order is confirmed",
        "Thank you, we have received your order {order}.",
    ),
    "order_paid": Wording(
        "Your order {order} is paid",
        "We have your payment",
        "Thank you, we have received your payment{of_amount} for order {order}.",
    ),
    "order_cancelled": Wording(
        "Your order {order} is cancelled",
        "Your order is cancelled",
        "Your order {order} has been cancelled{reason}.",
        payment="To be refunded",
    ),
    "order_refunded": Wording(
        "Your order {order} is refunded",
        "Your payment is refunded",
        "Your payment{of_amount} for order {order} has been refunded.",
        payment="Refunded",
    ),
    "order_shipped": Wording(
        "Your order {order} is on its way",
        "Your order is on its way",
        "Your order {order} has been shipped{with_carrier}.",
    ),
    "order_delivered": Wording(
        "Your order {order} has arrived",
        "Your order has arrived",
        "Your order {order} has been delivered, enjoy!",
    ),
}

REASONS = {
    "customer": ", as you asked",
    "admin": " by the shop",
    "unpaid": " because it was not paid in time",
}
"""Why an order is cancelled, as the end of the sentence."""


def subject(event: Event) -> str:
    """Return the subject of an e-mail about an event."""
    return WORDINGS[event.type].subject.format(order=event.order_id)


def sentence(event: Event) -> str:
    """Return what happened, in one sentence."""
    carrier = event.tracking and event.tracking.carrier
    return WORDINGS[event.type].sentence.format(
        order=event.order_id,
        of_amount=f" of {event.payment}" if event.payment else "",
        reason=REASONS.get(event.reason or "", ""),
        with_carrier=f" with {carrier}" if carrier else "",
    )
