"""Search the saga and show how far the search has come; exit code 1 and the way to it if a promise is broken."""

import argparse
import sys
from dataclasses import fields, replace

from tests.model.configurations import BROKEN, LARGE, SMALL
from tests.model.rules import Rule
from tests.model.saga import Saga
from tests.model.search import Result, search


def main() -> int:
    """Search what the command line asks for."""
    parser = argparse.ArgumentParser(prog="./dev model", description=__doc__)
    parser.add_argument("--large", action="store_true", help="search the large configurations, which takes long")
    parser.add_argument("--without", choices=[rule.name for rule in Rule], metavar="RULE", help="%(choices)s")
    options = parser.parse_args()
    if options.without:
        rule = Rule[options.without]
        print(f"{rule.name}: {rule.value}")
        return run("a small saga without it", replace(BROKEN[rule][0], without=rule))
    return max(run(name, saga) for name, saga in (LARGE if options.large else SMALL).items())


def run(name: str, saga: Saga) -> int:
    """Search one saga and print what comes out."""
    chosen = {f.name: value for f in fields(saga) if (value := getattr(saga, f.name)) != f.default}
    print(f"\n{name}: {chosen}", flush=True)
    result = search(saga, progress=show)
    if result.violated:
        print(f"  does not hold: {result.violated.replace('_', ' ')}", *result.trace, sep="\n    ")
        return 1
    print("  every invariant holds in every state", flush=True)
    return 0


def show(result: Result) -> None:
    """Print how far a search has come."""
    rate = result.states / max(result.seconds, 0.001)
    print(f"  depth {result.depth:3}, {result.states:9,} states, {rate:7,.0f} a second", flush=True)


if __name__ == "__main__":
    sys.exit(main())
