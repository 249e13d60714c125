"""The values of payments."""

from dataclasses import dataclass
from datetime import datetime, timedelta

STARTED, UNKNOWN, CAPTURED, DECLINED = "started", "unknown", "paid", "declined"
REFUND_DUE, REFUNDED = "refund_due", "refunded"
OPEN_PAYMENT = (STARTED, UNKNOWN)
"""While a payment has one of these statuses, only the provider knows whether it has taken the money."""


@dataclass(frozen=True)
class Payment:
    """The latest attempt to pay an order. `amount` is in minor units of the order's currency.

    `method` is the provider's token for a means of payment, never a card number. `reference` is the provider's id of
    the attempt, where it gives one before it takes the money.
    """

    status: str
    attempt: int  # 1, 2, ...
    provider: str
    method: str
    amount: int
    reference: str | None = None
    paid_at: datetime | None = None
    refunded_at: datetime | None = None


@dataclass(frozen=True)
class PaymentTerms:
    """Whether orders must be paid, and within how many minutes; 0 means that an order may stay unpaid."""

    is_required: bool = False
    minutes: float = 0.0

    def pay_by(self, ordered_at: datetime) -> datetime | None:
        """Return the time at which an order of this moment is cancelled if it is unpaid, None for never."""
        return ordered_at + timedelta(minutes=self.minutes) if self.is_required and self.minutes else None
