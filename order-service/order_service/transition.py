"""A move of an order from one status to the next."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from order_service.model import CANCELLED, NOT_HOLDING_STOCK, PAID, SHIPPED, SYSTEM, Tracking


@dataclass(frozen=True)
class Transition:
    """A move of an order from one status to the next, with the event that tells of it."""

    start: str
    end: str
    by: str
    at: datetime
    event: dict[str, Any]
    tracking: Tracking | None = None
    write_id: str = field(default_factory=lambda: uuid.uuid4().hex)  # recognises a second run of the same write

    @property
    def releases_stock(self) -> bool:
        """Return whether the order's stock returns."""
        return self.end in NOT_HOLDING_STOCK

    @property
    def refunds(self) -> bool:
        """Return whether the buyer gets the money back."""
        return (self.start, self.end) == (PAID, CANCELLED)

    @property
    def waits_for_payment(self) -> bool:
        """Return whether an open payment forbids it: an order is never shipped or expired while it may be paid."""
        return self.end == SHIPPED or self.by == SYSTEM
