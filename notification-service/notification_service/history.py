"""The history of notifications, as the web service shows it."""

from typing import TYPE_CHECKING

from chassis.paging import Page
from notification_service.model import NotificationRecord

if TYPE_CHECKING:
    from notification_service.store import NotificationStore


class NotificationHistory:
    """Lists what was sent."""

    def __init__(self, store: "NotificationStore") -> None:
        self._store = store

    def page(self, user_id: str | None, *, limit: int, cursor: str | None) -> Page[NotificationRecord]:
        """Return a page of a user's notifications (all users' for None), newest first. Raises Invalid."""
        return self._store.page(user_id, limit=limit, cursor=cursor)
