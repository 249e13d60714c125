"""Search the saga and show how far the search has come; exit code 1 and the way to it if a promise is broken."""

import argparse
import sys
import time
from dataclasses import fields, replace

from tests.model.configurations import BROKEN, LARGE, SMALL
from tests.model.saga import Rule, Saga
from tests.model.search import search


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
    began = time.monotonic()

    def show(depth: int, states: int) -> None:
        rate = states / max(time.monotonic() - began, 0.001)
        print(f"  depth {depth:3}, {states:9,} states, {rate:7,.0f} a second", flush=True)

    _, broken, way = search(saga, progress=show)
    if broken:
        print(f"  does not hold: {broken}", *way, sep="\n    ")
        return 1
    print("  every invariant holds in every state", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
