"""The HTTP input and output of notification-service."""

from pydantic import Field

from chassis.schemas import PageQuery, Reply, Timestamp


class NotificationQuery(PageQuery):
    """Which notifications to list; `user_id` is for administrators."""

    user_id: str | None = Field(None, max_length=64)


class NotificationReply(Reply):
    """A notification; its status is `pending`, `sending`, `sent` or `failed`."""

    id: str
    event_id: str
    event_type: str
    order_id: str
    channel: str
    recipient: str
    subject: str
    body: str
    status: str
    created_at: Timestamp


class NotificationList(Reply):
    """A page of notifications."""

    items: list[NotificationReply]
    next_cursor: str | None
