"""./dev model: the executable specification of how an order is placed, searched through all that can happen."""

import argparse
from collections.abc import Callable

from tools.checks import run


def define_model(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Search the model of placing an order for a broken promise; exit code 1 and the way to it if one is found."""
    parser.usage = "./dev model [--large] [--without RULE]"
    parser.epilog = "--large takes long; --without shows what happens without one of the rules of tests/model/saga.py."
    parser.set_defaults(rest=[])
    return lambda options: run("tests.model", *options.rest)
