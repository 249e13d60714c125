"""What the images consist of: bills of materials with licences (CycloneDX), and known vulnerabilities.

The Python packages of our images are known without building them; what the base images and those of the servers bring
along is asked of the images themselves (`--images`).

A package with a licence that `LICENCES` does not have stops `./dev sbom`, and with it `./dev test`: look whether its
terms can be kept, then add it.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.paths import CONSTRAINTS, ROOT

BILLS = ROOT / ".dev" / "sbom"
IMAGES = ("user-service", "product-service", "order-service", "notification-service", "deploy")
LICENCES = {"MIT", "MIT-0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Apache-2.0", "MPL-2.0", "PSF-2.0"}
SPELLINGS = {
    "License :: OSI Approved :: BSD License": "BSD",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
KNOWN_TO_BE_VULNERABLE = "https://pypi.org/pypi/jinja2/2.4.1/json"

Bill = dict[str, Any]

NO_PYTHON: Bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}


def define_sbom(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Write a CycloneDX bill of materials for each image, and list the licences."""
    parser.add_argument("--output", type=Path, default=BILLS, help="folder (default: .dev/sbom)")
    parser.add_argument("--images", action="store_true", help="all images of docker compose, with Debian's packages")
    return lambda options: write_bills(options.output, images=options.images)


def write_bills(folder: Path, *, images: bool = False) -> int:
    """Write `IMAGE.cdx.json` for each image and print the Python packages with their licences.

    Return 1 if a licence is not accepted.
    """
    whole = _environment()
    bills = {image: _part(whole, image) for image in IMAGES}
    if images:
        bills = _in_compose(bills)
    folder.mkdir(parents=True, exist_ok=True)
    for image, bill in bills.items():
        (folder / f"{image}.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")
    components = [c for bill in bills.values() for c in bill["components"] if c["purl"].startswith("pkg:pypi/")]
    found = {(c["name"], c["version"]): licences(c) for c in components}
    for (name, version), names in sorted(found.items(), key=str):
        print(f"{name:28}{version:12}{', '.join(sorted(names)) or 'UNKNOWN'}")
    refused = [name for (name, _), names in found.items() if not names or not names <= LICENCES]
    print(f"{len(bills)} bills of materials in {folder}" + "".join(f"\nlicence not accepted: {n}" for n in refused))
    return 1 if refused else 0


def licences(component: dict[str, Any]) -> set[str]:
    """Return the licences of a component by their SPDX names; of alternatives, each."""
    declared = [entry.get("expression") or _name(entry["license"]) for entry in component.get("licenses", ())]
    known = {SPELLINGS.get(name, name) for name in declared if name != "License :: OSI Approved"}
    return {part for name in known for part in re.split(r" (?:OR|AND) ", name)}


def check_vulnerabilities() -> int:
    """Look the packages of constraints.txt up in PyPI's advisories; says so where these cannot be reached."""
    if not _advisories_can_be_reached():
        print("SKIPPED: the database of vulnerabilities (pypi.org) cannot be reached from here.")
        return 0
    command = ["pip_audit", "--requirement", str(CONSTRAINTS), "--require-hashes", "--disable-pip", "--strict"]
    return subprocess.run([sys.executable, "-m", *command, "--progress-spinner", "off"], cwd=ROOT).returncode


def _advisories_can_be_reached() -> bool:
    try:
        return bool(requests.get(KNOWN_TO_BE_VULNERABLE, timeout=10).json()["vulnerabilities"])
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return False


@cache
def _environment() -> Bill:
    """Return the bill of materials of the whole virtual environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "environment.json"
        command = ["cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "--output-file", str(file)]
        subprocess.run([sys.executable, "-m", *command, sys.executable], check=True, capture_output=True)
        bill: Bill = json.loads(file.read_text())
        return bill


def _part(whole: Bill, image: str) -> Bill:
    """Return the part of a bill that an image installs."""
    names = set(_needed(ROOT / image / "requirements.txt"))
    components = [c for c in whole["components"] if canonicalize_name(c["name"]) in names]
    kept = {c["bom-ref"] for c in components}
    edges = [
        {"ref": edge["ref"], "dependsOn": [ref for ref in edge.get("dependsOn", ()) if ref in kept]}
        for edge in whole["dependencies"]
        if edge["ref"] in kept
    ]
    application = {"type": "container", "name": image, "bom-ref": image}
    metadata = {**whole["metadata"], "component": application}
    return {**whole, "metadata": metadata, "components": components, "dependencies": edges}


def _in_compose(parts: Mapping[str, Bill]) -> dict[str, Bill]:
    """Return the bill of each image that docker compose uses, by the name of the container; it must have been built."""
    config = json.loads(_output("docker", "compose", "config", "--format", "json"))
    bills = {}
    for name, container in config["services"].items():
        service = container.get("build", {}).get("args", {}).get("SERVICE")
        image = container.get("image") or f"{config['name']}-{name}"
        bill = parts[service] if service else NO_PYTHON
        metadata = {"component": {"type": "container", "name": image, "bom-ref": image}}
        bills[name] = {**bill, "metadata": metadata, "components": [*bill["components"], *_system_packages(image)]}
    return bills


def _system_packages(image: str) -> list[dict[str, Any]]:
    """Return the packages of Debian, or of what is made of it, in an image."""
    script = '. /etc/os-release; dpkg-query --show --showformat "$ID \\${Package} \\${Version} \\${Architecture}\\n"'
    sandbox = ("--rm", "--pull", "never", "--network", "none")
    lines = _output("docker", "run", *sandbox, "--entrypoint", "sh", image, "-c", script)
    found = []
    for system, name, version, architecture in (line.split() for line in lines.splitlines()):
        purl = f"pkg:deb/{system}/{name}@{quote(version)}?arch={architecture}"
        found.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return found


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed; the images are made by: docker compose build\n{done.stderr}")
    return done.stdout


def _needed(requirements: Path) -> Iterator[str]:
    """Yield the names of all packages that a requirements.txt leads to."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    waiting = [Requirement(line) for line in lines if line]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                further = map(Requirement, requires(name) or ())
                waiting += [r for r in further if r.marker is None or r.marker.evaluate({"extra": extra})]
        yield name


def _name(licence: dict[str, str]) -> str:
    return licence.get("id") or licence["name"]


if __name__ == "__main__":
    sys.exit(check_vulnerabilities())
