"""Search the specifications and show the progress; print the way to a broken invariant, and exit with 1."""

import argparse
import sys
import time

from tests.model.configurations import BROKEN, LARGE, SMALL
from tests.model.payment import Payments
from tests.model.saga import Saga
from tests.model.search import search

RULES = {rule.name: rule for rule in BROKEN}


def main() -> int:
    """Search what the command line names."""
    parser = argparse.ArgumentParser(prog="./dev model", description=__doc__)
    parser.add_argument("--large", action="store_true", help="search the large configurations, which takes long")
    parser.add_argument("--without", choices=RULES, metavar="RULE", help="%(choices)s")
    options = parser.parse_args()
    if options.without:
        rule = RULES[options.without]
        print(f"{rule.name}: {rule.value}")
        return run("a small search without it", BROKEN[rule][0]._replace(without=rule))
    return max(run(name, model) for name, model in (LARGE if options.large else SMALL).items())


def run(name: str, model: Saga | Payments) -> int:
    """Search one specification and print the result."""
    chosen = {name: value for name, value in model._asdict().items() if value != model._field_defaults[name]}
    print(f"\n{name}: {chosen}", flush=True)
    began = time.monotonic()
    for depth, (states, broken, way) in enumerate(search(model), 1):
        rate = states / max(time.monotonic() - began, 0.001)
        print(f"  depth {depth:3}, {states:9,} states, {rate:7,.0f} a second", flush=True)
        if broken:
            print(f"  does not hold: {broken}", *way, sep="\n    ")
            return 1
    print("  every invariant holds in every state", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
