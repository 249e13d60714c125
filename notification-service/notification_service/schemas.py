"""The HTTP input and output of notification-service."""

from pydantic import Field

from chassis.schemas import PageQuery, Reply, Timestamp

_ORDER = "0f8fad5bd9cb469fa16570867728950e"
_CURSOR = "WyItY3JlYXRlZF9hdCwtX2lkIiwgMTc2OTg2MDgwMDAwMCwgIjBmOGZhZDVi"


class NotificationQuery(PageQuery):
    """Which notifications to list."""

    user_id: str | None = Field(
        None,
        max_length=64,
        description="Only the notifications of this user; for administrators.",
        json_schema_extra={"example": "7c9e6679f4a24f0e9c1d2b3a4f5e6d7c"},
    )


class NotificationReply(Reply):
    """A message to a user on one channel, about one event of an order."""

    id: str = Field(examples=[f"{_ORDER}.order_created:email"])
    event_id: str = Field(examples=[f"{_ORDER}.order_created"])
    event_type: str = Field(examples=["order_created"])
    order_id: str = Field(examples=[_ORDER])
    channel: str = Field(description="`email` or `sms`.", examples=["email"])
    recipient: str = Field(description="An e-mail address or a phone number.", examples=["ada@example.com"])
    subject: str = Field(examples=[f"Your order {_ORDER} is confirmed"])
    body: str = Field(examples=[f"Thank you! We have received your order {_ORDER}.\n\n2 x Mug\nTotal: 19.98 EUR\n"])
    status: str = Field(description="`pending`, `sending`, `sent` or `failed`.", examples=["sent"])
    created_at: Timestamp = Field(examples=["2026-01-31T12:00:00.000Z"])


class NotificationList(Reply):
    """A page of notifications."""

    items: list[NotificationReply]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null at the end.", examples=[_CURSOR])
