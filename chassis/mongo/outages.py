"""Errors of the database, translated at one place: an outage is Unavailable, a refused account is a Misconfigured."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, ConnectionFailure, OperationFailure, PyMongoError

from chassis.errors import Misconfigured, Unavailable

C = TypeVar("C", bound=type)

_PASSING_LABELS = ("TransientTransactionError", "RetryableWriteError", "SystemOverloadedError")
_PASSING = {  # codes of the server's errors, of which pymongo makes no ConnectionFailure everywhere
    24: "LockTimeout",
    91: "ShutdownInProgress",
    189: "PrimarySteppedDown",
    262: "ExceededTimeLimit",
    365: "TemporarilyUnavailable",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
}
_REFUSALS = {13: "Unauthorized", 18: "AuthenticationFailed"}
_ADVICE = "Correct it, or run the provisioning: it sets passwords and rights."


def retry_and_translate(store: C) -> C:
    """Make every public method of a store raise Unavailable in an outage, Misconfigured if the account is refused.

    A call whose connection broke is run once more first: a restarted server closes all pooled connections.
    A transaction is not: the driver has repeated it already, for as long as it may take.
    """
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_"):
            setattr(store, name, _guarded(method))
    return store


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return method(*args, **kwargs)
            except AutoReconnect as exc:
                if exc.timeout or exc.has_error_label("TransientTransactionError"):
                    raise
                return method(*args, **kwargs)
        except PyMongoError as exc:
            if not (is_outage(exc) or _refusal(exc)):
                raise
            raise problem_of(exc) from exc

    return call


def _refusal(exc: PyMongoError) -> str | None:
    """Return the name of the error with which the server refuses an account, None for any other."""
    return _REFUSALS.get(exc.code or 0) if isinstance(exc, OperationFailure) else None


def problem_of(exc: PyMongoError) -> Unavailable:
    """Return what a caller is told of an error of the database."""
    if name := _refusal(exc):
        return Misconfigured(f"The database refuses the account of MONGO_URL ({name}). {_ADVICE}")
    return Unavailable("The database does not answer.")


def is_outage(exc: PyMongoError) -> bool:
    """Return whether an error means that the server is away, slow, overloaded or changing its primary."""
    passing = isinstance(exc, OperationFailure) and exc.code in _PASSING
    return (
        isinstance(exc, ConnectionFailure) or exc.timeout or passing or any(map(exc.has_error_label, _PASSING_LABELS))
    )
