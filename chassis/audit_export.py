"""Facts about a service's own database, for an audit: one JSON object per line on standard output.

A service's `audit` module prints them; whoever audits compares the facts of all services, and reads no database itself.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def write(facts: Iterable[Mapping[str, Any]]) -> None:
    """Print facts, each on a line of its own."""
    for fact in facts:
        sys.stdout.write(json.dumps(fact) + "\n")
