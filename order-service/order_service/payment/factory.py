"""The payment provider that the settings name."""

from collections.abc import Callable
from typing import Any

from chassis.errors import NotFound
from order_service.config import PaymentSettings
from order_service.payment.provider import PaymentProvider
from order_service.payment.simulated import SimulatedProvider
from order_service.store import PaymentLedger


def make_provider(settings: PaymentSettings, database: Any, clock: Any) -> PaymentProvider | None:
    """Return the provider; None if orders are not paid here."""
    if settings.payment_provider == "none":
        return None
    if settings.payment_provider == "simulated":
        return SimulatedProvider(PaymentLedger(database, clock), settings.payment_faults)
    from order_service.payment.stripe_provider import StripeProvider  # imported late: most shops do not need it

    return StripeProvider(settings.stripe_api_key, settings.stripe_api_base)


def make_webhook(settings: PaymentSettings) -> Callable[[bytes, str], str | None]:
    """Return the function that reads a message of Stripe: it returns the id of the order that the message is about.

    It raises InvalidSignature; without Stripe's webhook secret it raises NotFound.
    """
    if settings.payment_provider != "stripe" or not settings.stripe_webhook_secret:
        return _no_webhook
    from order_service.payment.stripe_webhook import read_webhook

    return lambda payload, signature: read_webhook(payload, signature, settings.stripe_webhook_secret)


def _no_webhook(_payload: bytes, _signature: str) -> str | None:
    raise NotFound("This shop takes no messages of Stripe. Set PAYMENT_PROVIDER to stripe, and STRIPE_WEBHOOK_SECRET.")
