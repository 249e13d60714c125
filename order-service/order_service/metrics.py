"""The metrics of order-service and its worker; `worker_metrics` has those of the worker alone.

The stores count what becomes of orders and payments, where a compare-and-set is won: so each fact counts once, whatever
is repeated or lost. To add a metric, describe it in `contracts/telemetry.json` too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

from chassis.telemetry import metrics
from order_service.model import (
    CANCELLED,
    CONFIRMED,
    DELIVERED,
    FAILED,
    PAID,
    REJECTED,
    SHIPPED,
    Order,
)
from order_service.payment.model import CAPTURED, DECLINED, REFUND_DUE, REFUNDED, UNKNOWN
from order_service.payment.provider import AttemptEnded, PaymentPending
from order_service.transition import Transition

ORDERS = metrics.ByLabel(
    metrics.counter("shop_orders_total", "Orders written, by their outcome.", ["outcome"]),
    CONFIRMED,
    REJECTED,
    FAILED,
)
REPLAYS = metrics.counter(
    "shop_orders_replayed_total", "Requests that an earlier order of the same idempotency key has answered."
)
VALUE = metrics.ByLabel(
    metrics.counter(
        "shop_order_value_minor_total", "The total of all confirmed orders, in minor units such as cents.", ["currency"]
    )
)
TRANSITIONS = metrics.ByLabel(
    metrics.counter("shop_order_transitions_total", "Moves of orders from one status to the next.", ["to"]),
    PAID,
    SHIPPED,
    DELIVERED,
    CANCELLED,
)
PAYMENTS = metrics.ByLabel(
    metrics.counter("shop_payments_total", "Payments that have reached a status.", ["outcome"]),
    CAPTURED,
    DECLINED,
    UNKNOWN,
    REFUND_DUE,
    REFUNDED,
)
PRODUCT_SERVICE_CALLS = metrics.ByLabel(
    metrics.histogram(
        "shop_product_service_duration_seconds", "The duration of each attempt to call product-service.", ["outcome"]
    ),
    "answered",
    "error",
    "timeout",
    "broken",
    "full",
)
CIRCUIT_OPEN = metrics.ByLabel(
    metrics.gauge("shop_circuit_open", "1 while the circuit breaker is open.", ["service"], combine=metrics.LARGEST),
    "product-service",
)
PROVIDER_CALLS = metrics.ByLabel(
    metrics.histogram(
        "shop_payment_provider_duration_seconds",
        "The duration of calls of the payment provider.",
        ["operation", "outcome"],
    ),
    *product(("capture", "look_up", "refund"), ("answered", "unavailable")),
)


def count_order(order: Order) -> None:
    """Count an order that was written."""
    ORDERS[order.status].inc()
    if order.total and order.currency:
        VALUE[order.currency].inc(order.total)


def count_transition(move: Transition) -> None:
    """Count a move of an order, and the refund that becomes due by it."""
    TRANSITIONS[move.end].inc()
    if move.refunds:
        PAYMENTS[REFUND_DUE].inc()


def count_captured(order_status: str) -> None:
    """Count a payment that has turned out to be captured, by the status that its order had."""
    PAYMENTS[REFUND_DUE if order_status == CANCELLED else CAPTURED].inc()
    if order_status == CONFIRMED:
        TRANSITIONS[PAID].inc()


@contextmanager
def provider_call(operation: str) -> Iterator[None]:
    """Measure a call of the payment provider. That it has not decided yet is an answer, too."""
    started, outcome = time.perf_counter(), "unavailable"
    try:
        yield
        outcome = "answered"
    except (AttemptEnded, PaymentPending):
        outcome = "answered"
        raise
    finally:
        PROVIDER_CALLS[operation, outcome].observe(time.perf_counter() - started)
