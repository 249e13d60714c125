"""MongoDB: connecting, translating its errors, the database's clock, and pages of a list.

A store is a class with verbs of its domain. Decorate it with `retry_and_translate`, and make every method safe to run
twice (its own `_id`, a compare-and-set, a recorded request): a call whose connection broke is run once more.
"""

from chassis.mongo.client import (
    ASCENDING,
    DESCENDING,
    DUPLICATE_KEY,
    Document,
    Write,
    bulk_write,
    connect,
    has_database_and_credentials,
    missing_feature,
)
from chassis.mongo.clock import DatabaseClock
from chassis.mongo.outages import is_outage, retry_and_translate
from chassis.mongo.pages import find_page

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "DUPLICATE_KEY",
    "DatabaseClock",
    "Document",
    "Write",
    "bulk_write",
    "connect",
    "find_page",
    "has_database_and_credentials",
    "is_outage",
    "missing_feature",
    "retry_and_translate",
]
