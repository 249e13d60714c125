"""Run the shop of one checkout, with its own servers, until standard input ends.

`cd CHECKOUT && .venv/bin/python -P /path/of/host.py STATE PORTS OPTIONS`, the last two as JSON. So each checkout is
run by its own tools; only what all versions of them have may be used here.
"""

import json
import sys
from pathlib import Path

from tools.stack.readiness import StackError
from tools.stack.spec import Options
from tools.stack.stack import Stack


def main() -> int:
    """Start the shop, say so, and wait; nothing of it is left afterwards."""
    stack = Stack(Path(sys.argv[1]), json.loads(sys.argv[2]), Options(**json.loads(sys.argv[3])))
    try:
        stack.up(stop_with_parent=True)
        print("ready", flush=True)
        sys.stdin.read()
    except StackError as exc:
        print(exc)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stack.destroy()
    return 0


if __name__ == "__main__":
    sys.exit(main())
