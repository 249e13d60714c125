"""Traces and metrics of the calls of stores: a span and a duration for each verb, such as `OrderStore.create`."""

import functools
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from chassis.telemetry import context, metrics, tracing
from chassis.telemetry.tracing import CLIENT

DURATION = metrics.histogram(
    "shop_store_duration_seconds", "The duration of each call of a store.", ["verb"], buckets=metrics.STORE_SECONDS
)


def observed(verb: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a store that records each of its calls."""
    attributes = {"db.system.name": "mongodb", "db.operation.name": verb}

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        trace = context.current.get()
        span = tracing.start(verb, CLIENT, trace, attributes) if trace and trace.is_sampled else None
        try:
            return method(*args, **kwargs)
        except Exception as exc:
            if span:
                span.fail(type(exc).__name__)
            raise
        finally:
            if span:
                span.end()
            _durations(verb).observe(time.perf_counter() - started)

    return call


@cache
def _durations(verb: str) -> metrics.Observed:
    return DURATION.labels(verb)
