"""The ledger of the simulated payment provider. It stands for the bank: no other part of order-service reads it.

Each operation is a document whose `_id` is its idempotency key, so that a repeat finds what the first call recorded.
"""

from collections import defaultdict
from collections.abc import Iterator

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from chassis.mongo import DatabaseClock, Document, retry_and_translate
from order_service.payment.provider import Charge, LedgerEntry, ProviderUnavailable

CHARGE_CAPTURED, CHARGE_DECLINED, CHARGE_CLOSED = "captured", "declined", "closed"


@retry_and_translate
class PaymentLedger:
    """Records charges and refunds, each once."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._ledger = database.payment_ledger.with_options(read_concern=ReadConcern("majority"))
        self._clock = clock

    def record_charge(self, charge: Charge, outcome: str) -> tuple[str, bool]:
        """Record what becomes of a charge, unless that is recorded; return what is recorded, and whether it is new.

        Raises ProviderUnavailable while another's record has not reached the majority.
        """
        key = f"charge.{charge.key}"
        if self._insert(key, charge, outcome):
            return outcome, True
        recorded = self._ledger.find_one({"_id": key})
        if recorded is None:
            raise ProviderUnavailable("Another request records this charge; please try again.")
        return str(recorded["outcome"]), False

    def record_refund(self, charge: Charge) -> None:
        """Record the refund of a charge, unless it is recorded."""
        self._insert(f"refund.{charge.key}", charge, "refunded")

    def _insert(self, key: str, charge: Charge, outcome: str) -> bool:
        amount = {"amount": charge.amount, "currency": charge.currency}
        entry = {"order_id": charge.order_id, "attempt": charge.attempt, **amount, "at": self._clock()}
        try:
            self._ledger.insert_one({"_id": key, "outcome": outcome, **entry})
        except DuplicateKeyError:
            return False
        return True

    def entries(self) -> Iterator[LedgerEntry]:
        """Yield every captured charge with its refunds."""
        refunds = defaultdict[tuple[str, int], list[int]](list)
        for refund in self._ledger.find({"outcome": "refunded"}):
            refunds[refund["order_id"], refund["attempt"]].append(refund["amount"])
        for charge in self._ledger.find({"outcome": CHARGE_CAPTURED}):
            key = charge["order_id"], charge["attempt"]
            yield LedgerEntry(*key, charge["amount"], tuple(refunds[key]), charge["at"])
