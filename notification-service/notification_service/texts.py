"""What users are told, by type of event. To notify of another event, add its texts here and bind it in the topology."""

from dataclasses import dataclass

from notification_service.model import EMAIL, SMS, Event, Notification


@dataclass(frozen=True)
class Text:
    """The texts of one type of event: a subject, and the sentence that an SMS and an e-mail begin with."""

    subject: str
    sentence: str


TEXTS = {
    "order_created": Text("Your order {order} is confirmed", "Thank you! We have received your order {order}."),
    "order_cancelled": Text("Your order {order} is cancelled", "Your order {order} has been cancelled."),
    "order_shipped": Text("Your order {order} is on its way", "Your order {order} has been shipped."),
    "order_delivered": Text("Your order {order} has arrived", "Your order {order} has been delivered. Enjoy!"),
}


def notifications_of(event: Event) -> list[Notification]:
    """Return what the buyer is told of an event: by e-mail always, by SMS where there is a phone."""
    sentence = TEXTS[event.type].sentence.format(order=event.order_id)
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
        subject=TEXTS[event.type].subject.format(order=event.order_id),
        body=body,
    )
