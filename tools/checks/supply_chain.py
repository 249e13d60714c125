"""The contents of our images: bills of materials (cyclonedx-py), licences (pip-licenses), vulnerabilities (pip-audit).

The Python packages of our images are known without building them. For Debian's packages, ask the built images: see
docs/security.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any

import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.paths import CONSTRAINTS, ROOT, STATE
from tools.services import SERVICES

IMAGES = (*(service.name for service in SERVICES), "deploy")
# A package with another licence fails the check: see whether its terms can be met, then add the licence.
LICENCES = [
    *("MIT", "MIT-0", "MIT License", "BSD-2-Clause", "BSD-3-Clause", "BSD License", "ISC", "PSF-2.0"),
    *("Apache-2.0", "Apache-2.0 OR BSD-3-Clause", "Apache-2.0 AND BSD-2-Clause", "Apache Software License"),
    *("3-Clause BSD License", "Mozilla Public License 2.0 (MPL 2.0)"),
]
VULNERABLE_PACKAGE = "https://pypi.org/pypi/jinja2/2.4.1/json"  # it has advisories, unless PyPI cannot be reached


def define_sbom(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Write a CycloneDX bill of materials of each image's Python packages, and list their licences."""
    parser.add_argument("--output", type=Path, default=STATE / "sbom", help="folder (default: .dev/sbom)")
    return lambda options: write_sboms(options.output) or check_licences()


def write_sboms(folder: Path) -> int:
    """Write `IMAGE.cdx.json` for each image."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", sys.executable]
    environment = json.loads(subprocess.check_output([sys.executable, "-m", *command], stderr=subprocess.DEVNULL))
    for image in IMAGES:
        names = packages(image)
        components = [_licensed(each) for each in environment["components"] if canonicalize_name(each["name"]) in names]
        refs = {each["bom-ref"] for each in components}
        edges = [
            {**edge, "dependsOn": [ref for ref in edge.get("dependsOn", ()) if ref in refs]}
            for edge in environment["dependencies"]
            if edge["ref"] in refs
        ]
        subject = {**environment["metadata"], "component": {"type": "container", "name": image, "bom-ref": image}}
        sbom = {**environment, "metadata": subject, "components": components, "dependencies": edges}
        (folder / f"{image}.cdx.json").write_text(json.dumps(sbom, indent=2) + "\n")
    print(f"{len(IMAGES)} bills of materials in {folder}")
    return 0


def _licensed(component: dict[str, Any]) -> dict[str, Any]:
    """Return a component with its licence; cyclonedx-py leaves out one that is free text in the package's metadata."""
    package = metadata(component["name"])
    named = {"licenses": [{"license": {"name": package["License"]}}]} if "License" in package else {}
    return named | component


def packages(image: str) -> set[str]:
    """Return the names of all packages that an image's requirements.txt needs, also indirectly."""
    waiting = _parse((ROOT / image / "requirements.txt").read_text().splitlines())
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in {"", *requirement.extras}:
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                waiting += _parse(requires(requirement.name) or (), extra)
    return {canonicalize_name(name) for name, _ in seen}


def _parse(lines: Iterable[str], extra: str = "") -> list[Requirement]:
    """Return the requirements of these lines that apply here."""
    requirements = [Requirement(line) for text in lines if (line := text.partition("#")[0].strip())]
    return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": extra})]


def check_licences() -> int:
    """List the packages of all images with their licences; return 1 if one is not in `LICENCES`."""
    names = sorted(set.union(*map(packages, IMAGES)))
    options = ["--with-system", "--allow-only", ";".join(LICENCES), "--packages", *names]
    return subprocess.run([sys.executable, "-m", "piplicenses", *options]).returncode


def check_vulnerabilities() -> int:
    """Look up the packages of constraints.txt in PyPI's advisories. Print a note if PyPI cannot be reached."""
    try:
        reachable = bool(requests.get(VULNERABLE_PACKAGE, timeout=10).json()["vulnerabilities"])
    except (requests.RequestException, ValueError, KeyError, TypeError):
        reachable = False
    if not reachable:
        print("SKIPPED: the database of vulnerabilities (pypi.org) cannot be reached from here.")
        return 0
    command = ["pip_audit", "--requirement", str(CONSTRAINTS), "--require-hashes", "--disable-pip", "--strict"]
    return subprocess.run([sys.executable, "-m", *command, "--progress-spinner", "off"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(check_licences() or check_vulnerabilities())
