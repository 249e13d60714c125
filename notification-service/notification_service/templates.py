"""The texts of notifications. To notify users of another event, add a template here and bind it in the topology."""

from dataclasses import dataclass, replace

from notification_service.model import EMAIL, SMS, Event, Notification


@dataclass(frozen=True)
class MessageTemplate:
    """The texts for one type of event: a subject, and the sentence that begins an SMS and an e-mail."""

    subject: str
    sentence: str


TEMPLATES = {
    "order_created": MessageTemplate(
        "Your order {order} is confirmed", "Thank you! We have received your order {order}."
    ),
    "order_cancelled": MessageTemplate("Your order {order} is cancelled", "Your order {order} has been cancelled."),
    "order_shipped": MessageTemplate("Your order {order} is on its way", "Your order {order} has been shipped."),
    "order_delivered": MessageTemplate(
        "Your order {order} has arrived", "Your order {order} has been delivered. Enjoy!"
    ),
}


def notifications_of(event: Event) -> list[Notification]:
    """Return the notifications of an event: an e-mail, and an SMS if the buyer has a phone."""
    template = TEMPLATES[event.type]
    sentence = template.sentence.format(order=event.order_id)
    details = [*event.lines, *([f"Total: {event.total}"] if event.total else [])]
    email = Notification(
        event_id=event.id,
        event_type=event.type,
        order_id=event.order_id,
        user_id=event.user_id,
        channel=EMAIL,
        recipient=event.email,
        subject=template.subject.format(order=event.order_id),
        body="\n".join([sentence, "", *details]).strip() + "\n",
        request_id=event.request_id or event.id,
    )
    return [email, replace(email, channel=SMS, recipient=event.phone, body=sentence)] if event.phone else [email]
