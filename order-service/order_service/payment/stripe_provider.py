"""Payments by Stripe: each attempt is a PaymentIntent.

To create a PaymentIntent takes no money. Its id is stored as the charge's reference before it is confirmed, so every
charge that may have taken money can be looked up. Looking up cancels a PaymentIntent that took none: Stripe refuses to
confirm it afterwards, however late the confirmation arrives.
"""

import logging
import time
from collections.abc import Callable, Iterator

import stripe

from order_service.payment.provider import (
    CaptureResult,
    Charge,
    LedgerEntry,
    PaymentPending,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from order_service.payment.stripe_errors import NOT_COMPLETED, UNEXPECTED_STATE, description, reason, translated
from order_service.payment.stripe_replies import WITHOUT_EFFECT, given_back, has_two_decimals, is_ended, ledger_entry

TIMEOUT = (2.0, 7.0)  # s to connect, and for the answer, which a late caller no longer awaits: a bank takes seconds
CHECK_EVERY = 60.0  # s; health checks come every few seconds
PAGE = 100  # the longest that Stripe allows
_FINAL = ("succeeded", "canceled")  # of a PaymentIntent

log = logging.getLogger(__name__)


class StripeProvider:
    """Takes and refunds money by Stripe's API. Several threads may use it: each has an HTTP session of its own."""

    name = "stripe"

    def __init__(self, api_key: str, api_base: str, *, timeout: tuple[float, float] = TIMEOUT) -> None:
        logging.getLogger("stripe").setLevel(logging.WARNING)  # below, it logs messages and whole bodies
        stripe.enable_telemetry = False  # it writes an id into the home directory
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,  # the caller repeats
            http_client=stripe.RequestsClient(timeout=timeout),
        )
        if api_key.startswith(("sk_test_", "rk_test_")):
            log.warning("STRIPE_API_KEY is a test key: no money is taken")
        self._last_check: tuple[float, ProviderUnavailable | None] = (float("-inf"), None)
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds

    def check_method(self, method: str) -> None:
        """Return: only Stripe knows its payment methods."""

    def capture(self, charge: Charge, save_reference: Callable[[str], None]) -> CaptureResult:
        """Create and confirm a PaymentIntent; a repeat confirms the same one under the same idempotency key."""
        if not has_two_decimals(charge.currency):
            raise ProviderMisconfigured(f"Stripe does not count {charge.currency} in hundredths, but this shop does.")
        reference = charge.reference
        if reference is None:
            reference = self._create(charge)
            if reference is None:
                return CaptureResult(False, "Stripe takes no payment of this amount.")
            save_reference(reference)
        return self._confirm(reference, charge)

    def look_up(self, charge: Charge) -> CaptureResult:
        """Retrieve the PaymentIntent, and cancel it if it took no money. Without a reference none was confirmed."""
        if charge.reference is None:
            return CaptureResult(False, NOT_COMPLETED)
        with translated():
            return self._outcome(self._intents.retrieve(charge.reference), NOT_COMPLETED)

    def refund(self, charge: Charge) -> None:
        """Refund all that is left of a captured charge. Raises ProviderUnavailable until all of it is given back."""
        if charge.reference is None:
            raise ValueError(f"charge {charge.key} has no reference, so Stripe captured nothing for it")
        with translated():
            refunds = self._refunds_of(charge.reference)
            if given_back(refunds) < charge.amount:
                refunds = self._refund_rest(charge.reference, charge, refunds)
            if given_back(refunds) < charge.amount:
                raise PaymentPending("Stripe has not completed the refund yet.")

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield all captured charges; PaymentIntents that something else made in the same account are skipped."""
        with translated():
            intents = self._intents.list({"limit": PAGE, "expand": ["data.latest_charge.refunds"]})
            for intent in intents.auto_paging_iter():
                if entry := ledger_entry(intent):
                    yield entry

    def check(self) -> None:
        """Return if Stripe accepts the key; at most one request a minute asks it, all others get its last answer."""
        checked_at, failure = self._last_check
        if time.monotonic() - checked_at > CHECK_EVERY:
            failure = None
            try:
                with translated():
                    self._intents.list({"limit": 1})
            except ProviderUnavailable as exc:
                failure = exc
            self._last_check = time.monotonic(), failure
        if failure:
            raise type(failure)(failure.detail)

    def _create(self, charge: Charge) -> str | None:
        """Return the id of the charge's PaymentIntent; None if Stripe finds the amount too small or too large."""
        with translated():
            try:
                intent = self._intents.create(
                    {
                        "amount": charge.amount,
                        "currency": charge.currency.lower(),
                        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                        "description": f"Order {charge.order_id}",
                        "metadata": {"order_id": charge.order_id, "attempt": str(charge.attempt)},
                    },
                    {"idempotency_key": f"create-{charge.key}"},
                )
                return intent.id
            except stripe.InvalidRequestError as exc:
                if exc.param == "amount":
                    return None
                raise ProviderMisconfigured(f"Stripe creates no payment ({exc.code}, {exc.param}).") from None

    def _confirm(self, reference: str, charge: Charge) -> CaptureResult:
        with translated():
            try:
                intent = self._intents.confirm(
                    reference,
                    {"payment_method": charge.method, "error_on_requires_action": True},
                    {"idempotency_key": f"confirm-{charge.key}"},
                )
            except stripe.CardError as exc:
                return CaptureResult(False, reason(exc))
            except stripe.InvalidRequestError as exc:  # not in its state, or an unusable method
                log.warning("Stripe does not confirm the payment of order %s: %s", charge.order_id, description(exc))
                return self._outcome(self._intents.retrieve(reference), reason(exc))
            return self._outcome(intent, NOT_COMPLETED)

    def _outcome(self, intent: stripe.PaymentIntent, why_not: str) -> CaptureResult:
        """Return what became of a PaymentIntent. One that took no money is cancelled, so that it never does."""
        if intent.status not in (*_FINAL, "processing"):
            intent = self._cancel(intent.id)
        if intent.status not in _FINAL:
            raise PaymentPending("Stripe has not decided about the payment yet.")
        is_captured = intent.status == "succeeded"
        return CaptureResult(is_captured, "" if is_captured else why_not)

    def _cancel(self, reference: str) -> stripe.PaymentIntent:
        """Cancel a PaymentIntent, or return it as it is if it cannot be cancelled any more.

        Each call has a random idempotency key: under one of its own, Stripe would repeat a refusal for a day, whatever
        the state is by then.
        """
        try:
            return self._intents.cancel(reference)
        except stripe.InvalidRequestError as exc:
            if exc.code != UNEXPECTED_STATE:
                raise
            return self._intents.retrieve(reference)

    def _refund_rest(self, reference: str, charge: Charge, earlier: list[stripe.Refund]) -> list[stripe.Refund]:
        """Refund all that is left, unless a refund is under way; return all refunds.

        Refunds that failed count in the idempotency key, so that another one can follow them; two workers at once send
        the same key. Should Stripe forget the key, it still refuses to give back more than it took.
        """
        if not all(is_ended(refund) for refund in earlier):
            return earlier
        try:
            refund = self._refunds.create(
                {"payment_intent": reference, "metadata": {"order_id": charge.order_id}},
                {"idempotency_key": f"refund-{charge.key}-{len(earlier)}"},
            )
        except stripe.InvalidRequestError as exc:
            if exc.code != "charge_already_refunded":
                raise
            return self._refunds_of(reference)
        if refund.status in WITHOUT_EFFECT:
            log.error("the refund %s of order %s failed and is tried again", refund.id, charge.order_id)
        return [*earlier, refund]

    def _refunds_of(self, reference: str) -> list[stripe.Refund]:
        return list(self._refunds.list({"payment_intent": reference, "limit": PAGE}).auto_paging_iter())
