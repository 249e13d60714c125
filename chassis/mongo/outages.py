"""The database's errors, translated in one place: an outage is Unavailable, a refused account Misconfigured."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError

from chassis.errors import Misconfigured, Unavailable
from chassis.mongo.observation import observed
from chassis.telemetry import metrics

C = TypeVar("C", bound=type)

UNAVAILABLE = metrics.counter(
    "shop_database_unavailable_total", "Calls of a store that failed because the database is away or refuses."
)

_TRANSIENT_LABELS = ("TransientTransactionError", "RetryableWriteError", "SystemOverloadedError")
_TRANSIENT = {  # server errors that pymongo does not turn into a ConnectionFailure everywhere, by code
    6: "HostUnreachable",
    7: "HostNotFound",
    24: "LockTimeout",
    43: "CursorNotFound",  # the primary that had the cursor is gone
    89: "NetworkTimeout",
    91: "ShutdownInProgress",
    134: "ReadConcernMajorityNotAvailableYet",
    189: "PrimarySteppedDown",
    262: "ExceededTimeLimit",
    365: "TemporarilyUnavailable",
    9001: "SocketException",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
}
_ACCOUNT_REFUSED = {13: "Unauthorized", 18: "AuthenticationFailed"}
_ADVICE = "Correct it, or run the provisioning, which sets passwords and rights."


def retry_and_translate(store: C) -> C:
    """Decorate a store: every public method raises Unavailable in an outage, Misconfigured for a refused account.

    Each call is observed (`chassis.mongo.observation`).

    A call whose connection broke is retried once, because a restarted server closes all pooled connections. A
    transaction is not: `Transactions` has its own retry and deadline.
    """
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_"):
            setattr(store, name, observed(f"{store.__name__}.{name}", _with_retry(method)))
    return store


def _with_retry(method: Callable[..., Any]) -> Callable[..., Any]:
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
            UNAVAILABLE.inc()
            raise problem_of(exc) from exc

    return call


def _refusal(exc: PyMongoError) -> str | None:
    """Return the name of an error that refuses the account, None for any other error."""
    return _ACCOUNT_REFUSED.get(exc.code or 0) if isinstance(exc, OperationFailure) else None


def problem_of(exc: PyMongoError) -> Unavailable:
    """Return the problem that an outage or a refusal means for a caller."""
    if name := _refusal(exc):
        return Misconfigured(f"The database refuses the account of MONGO_URL ({name}). {_ADVICE}")
    return Unavailable("The database does not answer.")


def is_outage(exc: PyMongoError) -> bool:
    """Return whether an error means that the server is away, slow, overloaded or changing its primary."""
    is_transient = isinstance(exc, OperationFailure) and not _TRANSIENT.keys().isdisjoint(_codes(exc))
    return (
        isinstance(exc, ConnectionFailure)
        or exc.timeout
        or is_transient
        or any(map(exc.has_error_label, _TRANSIENT_LABELS))
    )


def _codes(exc: OperationFailure) -> set[int | None]:
    """Return the server's code of an error, of a bulk write those of all its errors."""
    if not isinstance(exc, BulkWriteError):
        return {exc.code}
    return {error.get("code") for kind in ("writeErrors", "writeConcernErrors") for error in exc.details.get(kind, ())}
