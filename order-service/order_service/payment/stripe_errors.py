"""The errors of Stripe's library, translated into those of a payment provider.

Stripe's messages may carry details of a card, so none is logged and none stays in an exception's chain (`from None`).
Stripe's dashboard shows everything about a request by its id, which is logged.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import stripe

from order_service.payment.provider import ProviderMisconfigured, ProviderUnavailable, RequestRejected

DECLINED = "The payment was declined."
NOT_COMPLETED = "The payment was not completed."
UNEXPECTED_STATE = "payment_intent_unexpected_state"

log = logging.getLogger(__name__)


@contextmanager
def translated() -> Iterator[None]:
    """Translate every error of Stripe's library. Raises ProviderUnavailable, ProviderMisconfigured."""
    try:
        yield
    except stripe.AuthenticationError:
        raise ProviderMisconfigured("Stripe does not accept STRIPE_API_KEY (401). Check it.") from None
    except stripe.PermissionError:
        raise ProviderMisconfigured("STRIPE_API_KEY lacks a right (403): see docs/operations.md.") from None
    except stripe.InvalidRequestError as exc:
        log.error("Stripe rejects a request, and will again until a person looks at it: %s", description(exc))
        raise RequestRejected("Stripe rejects the request.") from None
    except stripe.StripeError as exc:
        log.warning("no certain answer from Stripe, asking again later: %s", description(exc))
        raise ProviderUnavailable("Stripe gives no certain answer.") from None
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise ProviderUnavailable("Stripe sent an unexpected response.") from exc


def description(error: stripe.StripeError) -> str:
    """Return what may be logged of an error: its kind, status, code, parameter and the id of its request."""
    code, param = (getattr(error.error, name, None) for name in ("code", "param"))
    kind = type(error).__name__ + (f" ({type(error.__cause__).__name__})" if error.__cause__ else "")
    return f"{kind}, status {error.http_status}, code {code}, param {param}, request {error.request_id}"


def reason(error: stripe.CardError | stripe.InvalidRequestError) -> str:
    """Return why a confirmation was refused, in words for the buyer."""
    if isinstance(error, stripe.CardError):  # Stripe writes these messages for buyers; they never name a fraud rule
        return (error.user_message if getattr(error.error, "type", None) == "card_error" else None) or DECLINED
    if error.code == "resource_missing" and error.param == "payment_method":
        return "The payment method is unknown."
    return NOT_COMPLETED if error.code == UNEXPECTED_STATE else "Stripe does not accept this payment method."
