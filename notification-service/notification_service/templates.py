"""The texts of notifications. To notify users of another event, add a template here and bind it in the topology."""

from dataclasses import dataclass

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
    sentence = TEMPLATES[event.type].sentence.format(order=event.order_id)
    details = [*event.lines, *([f"Total: {event.total}"] if event.total else [])]
    notifications = [_notification(event, EMAIL, event.user.email, "\n".join([sentence, "", *details]).strip() + "\n")]
    if event.user.phone:
        notifications.append(_notification(event, SMS, event.user.phone, sentence))
    return notifications


def _notification(event: Event, channel: str, recipient: str, body: str) -> Notification:
    return Notification(
        event_id=event.id,
        event_type=event.type,
        order_id=event.order_id,
        user_id=event.user.id,
        channel=channel,
        recipient=recipient,
        subject=TEMPLATES[event.type].subject.format(order=event.order_id),
        body=body,
        request_id=event.request_id or event.id,
    )
