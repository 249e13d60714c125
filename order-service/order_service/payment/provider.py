"""The interface of payment providers. To add a provider, write one class like those beside this module.

A provider is told each attempt to pay by its `Charge`, and must treat the same charge the same way however often it is
told: the charge's key is the idempotency key. A lost answer is neither yes nor no. Then `look_up` finds out what
happened, and closes the charge if nothing did: a capture that arrives later must be refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.errors import BadRequest, Misconfigured, Unavailable


class ProviderUnavailable(Unavailable):
    """The payment provider does not answer, so whether it took the money is unknown. Safe to repeat."""

    code, title = "payment-provider-unavailable", "Payment Provider Unavailable"


class PaymentPending(ProviderUnavailable):
    """The payment provider has not decided yet, which may take days. Ask again later."""


class RequestRejected(PaymentPending):
    """The payment provider rejects the request, and will again until a person looks at it. Ask again later."""


class ProviderMisconfigured(Misconfigured, ProviderUnavailable):
    """The payment provider rejects this service: its key or a right is wrong. Safe to repeat once corrected."""


class InvalidSignature(BadRequest):
    """The signature of the message is missing, wrong or too old, so it may come from anybody. It changes nothing."""

    code, title = "invalid-signature", "Invalid Signature"


class AttemptEnded(Exception):
    """The attempt was closed meanwhile, so nothing may be captured for it."""


@dataclass(frozen=True)
class Charge:
    """One attempt to pay an order: `amount` is in minor units of `currency` (ISO 4217).

    `reference` is the provider's own id of the attempt, as far as it is stored.
    """

    order_id: str
    attempt: int
    amount: int
    currency: str
    method: str
    reference: str | None = None

    @property
    def key(self) -> str:
        """Return the part of the idempotency keys that names the order and the attempt."""
        return f"{self.order_id}.{self.attempt}"


@dataclass(frozen=True)
class CaptureResult:
    """The final state of a charge: captured, or never to be captured. `reason` tells the buyer why it was not."""

    is_captured: bool
    reason: str = ""


@dataclass(frozen=True)
class LedgerEntry:
    """Money that the provider took for an attempt, and each refund of it, in minor units."""

    order_id: str
    attempt: int
    amount: int
    refunds: tuple[int, ...]
    created_at: datetime
    reference: str | None = None


class PaymentProvider(Protocol):
    """What order-service needs of a provider. Every call but `ledger` ends within seconds.

    All raise ProviderUnavailable, or ProviderMisconfigured for a wrong key or right. What the provider has not decided
    yet raises PaymentPending.
    """

    name: str

    def check_method(self, method: str) -> None:
        """Return if the method may exist; ask nobody. Raises Invalid."""

    def capture(self, charge: Charge, save_reference: Callable[[str], None]) -> CaptureResult:
        """Take the money, or answer what became of the charge before. A captured charge is never captured again.

        A provider that must know its own id of the attempt to look it up calls `save_reference` with it before it takes
        the money; `save_reference` raises AttemptEnded.
        """

    def look_up(self, charge: Charge) -> CaptureResult:
        """Return what became of a charge. One that was not captured is closed: a late capture is refused."""

    def refund(self, charge: Charge) -> None:
        """Give all the money of a captured charge back, once. Return when that is certain."""

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield all captured charges, for the audit."""

    def check(self) -> None:
        """Return if the provider accepts this service. It may remember the answer for a minute."""
