"""Stripe's webhooks: each only names an order to ask Stripe about, so a late, repeated or reordered one is harmless."""

import json
from typing import Any

import stripe

from order_service.payment.provider import InvalidSignature
from order_service.payment.stripe_replies import order_id_of

TOLERANCE = 300  # s; an older signature may be a replay


def read_webhook(payload: bytes, signature: str, secret: str) -> str | None:
    """Return the id of the order that a webhook is about; None if it is about none. Raises InvalidSignature."""
    try:
        stripe.WebhookSignature.verify_header(payload, signature, secret, TOLERANCE)
    except (stripe.SignatureVerificationError, TypeError, ValueError):  # not text: TypeError, ValueError
        raise InvalidSignature(
            "The webhook is not signed with STRIPE_WEBHOOK_SECRET, or is older than 5 minutes."
        ) from None
    return order_id_of(_metadata(payload))


def _metadata(payload: bytes) -> dict[str, Any]:
    """Return the metadata of the object that an event is about; none of an event of another shape."""
    try:
        metadata = json.loads(payload)["data"]["object"]["metadata"]
    except (KeyError, TypeError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
