"""The objects that Stripe sends, as values of this service."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import stripe

from order_service.payment.provider import LedgerEntry

WITHOUT_EFFECT = ("failed", "canceled")  # of a refund: the money is still with the shop
_ZERO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD JOD KWD OMR TND"
_ORDER_ID = re.compile(r"[0-9a-f]{32}")


def has_two_decimals(currency: str) -> bool:
    """Return whether Stripe counts a currency in hundredths, as this shop does.

    https://docs.stripe.com/currencies has the list. UGX and ISK have no hundredths but are counted in them.
    """
    return currency.upper() not in f"{_ZERO_DECIMALS} {_THREE_DECIMALS}".split()


def order_id_of(metadata: Mapping[str, object]) -> str | None:
    """Return the order that an object of Stripe belongs to; None for an object that this shop did not make."""
    order_id = metadata.get("order_id")
    return order_id if isinstance(order_id, str) and _ORDER_ID.fullmatch(order_id) else None


def given_back(refunds: Iterable[stripe.Refund]) -> int:
    """Return how much money has certainly been given back, in minor units."""
    return sum(refund.amount for refund in refunds if refund.status == "succeeded")


def is_ended(refund: stripe.Refund) -> bool:
    """Return whether a refund succeeded or failed, rather than being under way."""
    return refund.status in ("succeeded", *WITHOUT_EFFECT)


def ledger_entry(intent: stripe.PaymentIntent) -> LedgerEntry | None:
    """Return what a PaymentIntent took and gave back; None if it took nothing, or was not made by this shop."""
    metadata = intent.metadata.to_dict()
    order_id, attempt = order_id_of(metadata), str(metadata.get("attempt", ""))
    if intent.status != "succeeded" or order_id is None or not attempt.isdecimal():
        return None
    charge = intent.latest_charge
    refunds = charge.refunds if isinstance(charge, stripe.Charge) else None
    amounts = tuple(refund.amount for refund in refunds or () if refund.status not in WITHOUT_EFFECT)
    return LedgerEntry(order_id, int(attempt), intent.amount_received, amounts, _time(intent.created), intent.id)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
