"""Print the entries of constraints.txt that one image needs: `python deploy/lock_subset.py report.json`.

The report comes from `pip install --dry-run --report`. pip's `--require-hashes` needs every package with its version
and hashes, but a requirements.txt has only the direct ones, as ranges.
"""

import json
import re
import sys
from pathlib import Path


def lock_subset(constraints: str, report: str) -> str:
    """Return the entries of `constraints`, with their hashes, for the packages in pip's report."""
    needed = {_normalised(package["metadata"]["name"]) for package in json.loads(report)["install"]}
    entries = re.findall(r"^\S+==.*\\\n(?:[ \t]+--hash.*\n?)+", constraints, re.MULTILINE)
    names = {entry: _normalised(entry.partition("==")[0]) for entry in entries}
    if missing := needed - set(names.values()):
        raise SystemExit(f"not in constraints.txt: {', '.join(sorted(missing))}")
    return "".join(entry for entry, name in names.items() if name in needed)


def _normalised(name: str) -> str:
    """Return a package's normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(lock_subset(Path("constraints.txt").read_text(), Path(sys.argv[1]).read_text()), end="")  # noqa: T201
