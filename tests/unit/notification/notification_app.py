"""notification-service for unit tests: the real store on mongomock, and fake channels."""

from collections.abc import Callable
from typing import Any

import mongomock

from notification_service.composing import Composer
from notification_service.delivery import DeliveryError
from notification_service.model import Notification, Shop
from notification_service.store import NotificationStore
from tests.clock import FakeClock

COMPOSER = Composer(Shop("Example Shop"))


class FakeChannel:
    """Records the notifications that it sends; fails as often as a test says."""

    def __init__(self, max_concurrent: int = 0) -> None:
        self.max_concurrent = max_concurrent
        self.sent: list[Notification] = []
        self.failures: list[Exception] = []
        self.listen: Callable[[], object] = lambda: None

    def send(self, notification: Notification) -> None:
        self.listen()
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(notification)

    def fail(self, *failures: Exception) -> None:
        self.failures += failures or [DeliveryError("no luck")]


def make_database() -> Any:
    return mongomock.MongoClient(tz_aware=True).notifications


def make_store(database: Any, clock: FakeClock) -> NotificationStore:
    return NotificationStore(database, clock)  # type: ignore[arg-type]


def event(order_id: str = "order-1", kind: str = "order_created", **user: Any) -> dict[str, Any]:
    """Return an event with only the fields that a notification needs."""
    buyer = {"id": "user-1", "email": "ana@example.com", **user}
    return {"id": f"{order_id}.{kind}", "type": kind, "data": {"order_id": order_id, "user": buyer}}
