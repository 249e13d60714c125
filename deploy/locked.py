"""Print the part of constraints.txt that one folder's requirements need: `python deploy/locked.py report.json`.

The report is that of `pip install --dry-run --report`. With `--require-hashes` pip wants every package with its exact
version and hashes, and a requirements.txt has only the direct ones, as ranges.
"""

import json
import re
import sys
from pathlib import Path


def locked(constraints: str, report: str) -> str:
    """Return the entries of `constraints`, hashes included, for the packages that pip's report would install."""
    needed = {_normalised(package["metadata"]["name"]) for package in json.loads(report)["install"]}
    entries = re.findall(r"^\S+==.*\\\n(?:[ \t]+--hash.*\n?)+", constraints, re.MULTILINE)
    found = {entry: _normalised(entry.partition("==")[0]) for entry in entries}
    if missing := needed - set(found.values()):
        raise SystemExit(f"not in constraints.txt: {', '.join(sorted(missing))}")
    return "".join(entry for entry, name in found.items() if name in needed)


def _normalised(name: str) -> str:
    """Return the name of a package as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(locked(Path("constraints.txt").read_text(), Path(sys.argv[1]).read_text()), end="")  # noqa: T201
