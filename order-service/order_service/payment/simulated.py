"""The simulated payment provider: a bank for development, with a ledger of its own. It takes no money.

The method says what happens: see `METHODS`. `faults` makes it behave like a provider on a bad day: this share of all
calls is slow or loses its answer, and for this share of the time the provider is away.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from chassis.errors import Invalid
from order_service.payment.provider import CaptureResult, Charge, LedgerEntry, ProviderUnavailable
from order_service.store.ledger import CHARGE_CAPTURED, CHARGE_CLOSED, CHARGE_DECLINED, PaymentLedger

T = TypeVar("T")

OK, DECLINED, LOST, SLOW = "pm_card_ok", "pm_card_declined", "pm_card_lost", "pm_card_slow"
METHODS = {
    OK: "pays",
    DECLINED: "is declined",
    LOST: "pays, but the answer to the first request is lost",
    SLOW: "pays, but the answer takes about two seconds",
}
SLOW_ANSWER = 2.0  # s; shorter than order-service waits
SLOWEST_ANSWER = 6.0  # s; longer than order-service waits, so that a request takes effect after it was given up
OUTAGE = 5  # s; how long the provider is away at a time
REASONS = {CHARGE_DECLINED: "The card was declined.", CHARGE_CLOSED: "The payment was not completed in time."}


@dataclass
class SimulatedProvider:
    """Captures and refunds in its ledger. `clock` and `rng` are the modules `time` and `random`, or a test's own."""

    bank: PaymentLedger
    faults: float = 0.0
    clock: Any = time
    rng: Any = random
    name: str = "simulated"

    def check_method(self, method: str) -> None:
        """Return if it is one of `METHODS`. Raises Invalid."""
        if method not in METHODS:
            raise Invalid.field("payment_method", f"must be one of {', '.join(METHODS)}")

    def capture(self, charge: Charge, save_reference: Callable[[str], None]) -> CaptureResult:
        """Record the charge as captured or declined, unless the ledger has it already. Raises ProviderUnavailable."""
        if charge.method == SLOW:
            self.clock.sleep(SLOW_ANSWER)
        outcome = CHARGE_DECLINED if charge.method == DECLINED else CHARGE_CAPTURED
        recorded, is_new = self._disturb(lambda: self.bank.record_charge(charge, outcome))
        if charge.method == LOST and is_new:
            raise ProviderUnavailable("The answer of the payment provider is lost.")
        return _result(recorded)

    def look_up(self, charge: Charge) -> CaptureResult:
        """Return what the ledger says; a charge that it does not know becomes closed. Raises ProviderUnavailable."""
        recorded, _ = self._disturb(lambda: self.bank.record_charge(charge, CHARGE_CLOSED))
        return _result(recorded)

    def refund(self, charge: Charge) -> None:
        """Record the refund, unless the ledger has it already. Raises ProviderUnavailable."""
        self._disturb(lambda: self.bank.record_refund(charge))

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield all captured charges."""
        return self.bank.entries()

    def check(self) -> None:
        """Return: this provider accepts everybody."""

    def _disturb(self, call: Callable[[], T]) -> T:
        """Run a call as if it went to a distant server on a bad day."""
        period = int(self.clock.time()) // OUTAGE
        if self.rng.Random(period).random() < self.faults:  # all processes see the same outages
            raise ProviderUnavailable("The payment provider is away.")
        fault = self.rng.choice([self._slow, self._lose]) if self.rng.random() < self.faults else None
        return fault(call) if fault else call()

    def _slow(self, call: Callable[[], T]) -> T:
        self.clock.sleep(self.rng.uniform(0, SLOWEST_ANSWER))
        return call()

    def _lose(self, call: Callable[[], T]) -> T:
        call()
        raise ProviderUnavailable("The answer of the payment provider is lost.")


def _result(outcome: str) -> CaptureResult:
    return CaptureResult(outcome == CHARGE_CAPTURED, REASONS.get(outcome, ""))
