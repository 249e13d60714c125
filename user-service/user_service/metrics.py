"""The metrics of user-service. To add one, describe it in `contracts/telemetry.json` too."""

from collections.abc import Iterator
from contextlib import contextmanager

from chassis.errors import TooManyRequests
from chassis.telemetry import metrics

SIGN_INS = metrics.ByLabel(
    metrics.counter("shop_sign_ins_total", "Sign-ins with a password.", ["outcome"]),
    "accepted",
    "refused",
    "throttled",
)
REGISTRATIONS = metrics.ByLabel(
    metrics.counter("shop_registrations_total", "Registrations.", ["outcome"]),
    "created",
    "taken",
    "throttled",
)
TOKEN_REUSES = metrics.counter("shop_refresh_token_reuses_total", "Refresh tokens that were used twice.")


@contextmanager
def throttled(attempts: metrics.Counters) -> Iterator[None]:
    """Count an attempt as throttled if the block raises TooManyRequests."""
    try:
        yield
    except TooManyRequests:
        attempts["throttled"].inc()
        raise
