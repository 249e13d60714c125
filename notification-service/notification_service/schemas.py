"""The HTTP input and output of notification-service."""

from typing import Any

from pydantic import Field

from chassis.schemas import Identifier, PageQuery, Reply, Timestamp, with_example

_ORDER = "0f8fad5bd9cb469fa16570867728950e"
_NOTIFICATION: dict[str, Any] = {
    "id": f"{_ORDER}.order_created:email",
    "event_id": f"{_ORDER}.order_created",
    "event_type": "order_created",
    "order_id": _ORDER,
    "channel": "email",
    "recipient": "ada@example.com",
    "subject": f"Your order {_ORDER} is confirmed",
    "body": f"Hello,\n\nThank you, we have received your order {_ORDER}.\n\n"
    "2 x Coffee Grinder, 89.50 EUR each: 179.00 EUR\nTotal: 179.00 EUR\n\nExample Shop\n",
    "status": "sent",
    "created_at": "2026-01-31T12:00:00.000Z",
}


class NotificationQuery(PageQuery):
    """Which notifications to list."""

    user_id: str | None = Field(
        None, max_length=64, description="Only the notifications of this user; for administrators."
    )
    order_id: Identifier | None = Field(None, description="Only the notifications of this order.")


class NotificationReply(Reply):
    """A message to a user on one channel, about one event of an order."""

    model_config = with_example(**_NOTIFICATION)

    id: str
    event_id: str
    event_type: str
    order_id: str
    channel: str = Field(description="`email` or `sms`.")
    recipient: str = Field(description="An e-mail address or a phone number.")
    subject: str
    body: str = Field(description="The text. The HTML of an e-mail is not kept.")
    status: str = Field(
        description="`pending`, `sending`, `sent` or `failed`. `sent` may be assumed, after a restore from a backup."
    )
    created_at: Timestamp


class NotificationList(Reply):
    """A page of notifications."""

    model_config = with_example(items=[_NOTIFICATION], next_cursor=None)

    items: list[NotificationReply]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null at the end.")
