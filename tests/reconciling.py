"""Reconciliation without waiting for the worker's rounds."""

from order_service.worker import Worker


def reconcile(worker: Worker, min_age: float = 15.0) -> int:
    """Let a worker compare all pages of reservations, and return how many were held without a reason."""
    total = 0
    while (strays := worker.reconciler.compare_page(min_age)) is not None:
        total += strays
    return total
