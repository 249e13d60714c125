"""Ask an API server what it thinks of each tree of deploy/kubernetes."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.paths import KUBERNETES, ROOT

TIMEOUT = 120  # seconds for one command; a definition of a resource takes some of them
NAMESPACE = KUBERNETES / "base/namespace.yaml"
TREES = ("overlays", "tests")
IMMUTABLE = "job,statefulset"


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the address and the account of one server."""

    command: Sequence[str]

    def run(self, *arguments: str | Path, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run one command."""
        command = [*self.command, *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )


def check(kubectl: Kubectl, definitions: Sequence[Path]) -> int:
    """Apply the definitions, then every tree; print what the server says; return 1 for an error, warning or change."""
    defined = kubectl.run("apply", "--server-side", *(word for file in definitions for word in ("-f", file)))
    if defined.returncode:
        print(defined.stderr)
        return 1
    trees = sorted(file.parent for folder in TREES for file in KUBERNETES.glob(f"{folder}/*/kustomization.yaml"))
    found = {tree: faults(kubectl, tree) for tree in trees}
    for tree, lines in found.items():
        print(f"{tree.relative_to(KUBERNETES)}: {'REFUSED' if lines else 'accepted'}", *lines, sep="\n    ")
    return 1 if any(found.values()) else 0


def faults(kubectl: Kubectl, tree: Path) -> list[str]:
    """Return errors and warnings about a tree, and what would change if it was applied again."""
    kubectl.run("apply", "--server-side", "-f", NAMESPACE)
    rendered = kubectl.run("kustomize", tree)
    tried = kubectl.run("apply", "--server-side", "--dry-run=server", "-f", "-", text=rendered.stdout)
    if lines := [*rendered.stderr.splitlines(), *tried.stderr.splitlines()]:
        return lines
    applied = kubectl.run("apply", "--server-side", "-f", "-", text=rendered.stdout)
    changes = kubectl.run("diff", "--server-side", "-f", "-", text=rendered.stdout)
    kubectl.run("delete", IMMUTABLE, "--all", "--namespace=shop", "--wait=false")  # another tree has them otherwise
    return [line for said in (applied.stderr, changes.stdout, changes.stderr) for line in said.splitlines()]
