"""Export the records of a service's database for an audit: one JSON object per line on standard output.

Each service has an `audit` module that prints its records. `./dev audit` compares them and reads no database itself.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def write(records: Iterable[Mapping[str, Any]]) -> None:
    """Print each record on a line of its own."""
    for record in records:
        sys.stdout.write(json.dumps(record) + "\n")
