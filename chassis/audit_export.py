"""Export the records of a service's database: one JSON object per line on standard output.

Each service has an `audit` module that prints its records. `./dev audit` compares them; `./dev order` shows those of
one order (`--order ID`). Neither reads a database itself.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chassis.schemas import format_time


def order_option() -> str | None:
    """Return the id that the command line names with `--order`; None if it asks for the records of an audit."""
    parser = argparse.ArgumentParser(description="Print records of this service's database, one JSON object a line.")
    parser.add_argument("--order", metavar="ID", help="print what is stored about one order, personal data included")
    order_id: str | None = parser.parse_args().order
    return order_id


def write(records: Iterable[Mapping[str, Any]]) -> None:
    """Print each record on a line of its own, times as text."""
    for record in records:
        sys.stdout.write(json.dumps(record, default=_text) + "\n")


def _text(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return format_time(value)
