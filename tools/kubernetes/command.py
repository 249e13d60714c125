"""./dev kubernetes: check deploy/kubernetes on a real API server."""

import argparse
from collections.abc import Callable

from tools.kubernetes import apiserver, crds, dry_run, rules


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Check deploy/kubernetes on a real API server, which is built once with Go (8 minutes). Needs etcd."""
    parser.add_argument(
        "--generate", action="store_true", help="only write the files that are made from others: alerts, test schemas"
    )
    return lambda options: generate() if options.generate else check()


def generate() -> int:
    """Write the alerts for the cluster, and the schemas of custom resources for the tests."""
    rules.write()
    crds.write()
    print(f"Written: {rules.FILE} and the schemas in {crds.FOLDER}")
    return 0


def check() -> int:
    """Apply every tree to an empty API server; return 1 if it refuses or warns of anything."""
    definitions = [crds.file_of(source) for source in crds.SOURCES]
    with apiserver.running() as kubectl:
        return dry_run.check(kubectl, definitions)
