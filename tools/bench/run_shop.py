"""Run the shop of one checkout, with servers of its own, until standard input ends.

`cd CHECKOUT && .venv/bin/python -P /path/of/run_shop.py STATE OPTIONS`: the checkout's own tools run its shop. A
checkout in which `tools.stack` is not yet a package cannot be measured.
"""

import json
import sys
from pathlib import Path

from tools.stack.readiness import StackError
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack


def main(state: str, options: str) -> None:
    """Start the shop, print as JSON what `tools.bench.targets.Target` needs, and wait."""
    stack = Stack(Path(state), free_ports(), Options(**json.loads(options)))
    try:
        stack.up()
        servers = {name.lower(): url for name, url in stack.administrators().items()}
        print(json.dumps({"urls": stack.urls, "programs": stack.services(), **servers}), flush=True)
        sys.stdin.read()
    except StackError as exc:
        sys.exit(str(exc))
    finally:
        stack.destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
