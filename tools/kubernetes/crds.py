"""The definitions of custom resources: from the Go modules of their operators, in exact versions.

To add one, name its file in `SOURCES`, then run `./dev kubernetes --generate`.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.kubernetes import golang
from tools.paths import ROOT

FOLDER = ROOT / "tests/unit/deploy/crds"
APACHE = "Apache-2.0"
_LEFT_OUT = {"description", "x-kubernetes-validations"}  # what no check of a shape needs, and is most of the text


@dataclass(frozen=True)
class Source:
    """A file of a Go module that defines a resource."""

    module: str
    file: str
    licence: str = APACHE


_GATEWAY = "sigs.k8s.io/gateway-api@v1.6.3"
_PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_KEDA = "github.com/kedacore/keda/v2@v2.20.2"
SOURCES = (
    Source(_GATEWAY, "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"),
    Source(_GATEWAY, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    Source(_KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    Source(_KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    Source(_PROMETHEUS, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    Source(_PROMETHEUS, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    # What the present operator, mongodb/mongodb-kubernetes, serves under the same name has some fields more.
    Source(
        "github.com/mongodb/mongodb-kubernetes-operator@v0.9.0",
        "config/crd/bases/mongodbcommunity.mongodb.com_mongodbcommunity.yaml",
    ),
    Source(
        "github.com/rabbitmq/cluster-operator/v2@v2.20.0",
        "config/crd/bases/rabbitmq.com_rabbitmqclusters.yaml",
        "MPL-2.0",
    ),
)


def file_of(source: Source) -> Path:
    """Return the file, downloading its module where necessary. Raises SystemExit where that is not possible."""
    command = [golang.go(), "mod", "download", "-json", source.module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=golang.DOWNLOAD_TIMEOUT, check=False)
    if done.returncode:
        raise SystemExit(f"The Go module {source.module} cannot be downloaded:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"]) / source.file


def schemas(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the strict JSON Schema of a resource with its name, such as `keda.sh.v1.Kind`."""
    spec = yaml.load(file_of(source).read_text(), yaml.CSafeLoader)["spec"]
    note = f"{source.file} of {source.module}, {source.licence}; made strict, descriptions left out."
    for version in spec["versions"]:
        if version["storage"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            yield f"{spec['group']}.{version['name']}.{spec['names']['kind']}", {"$comment": note, **schema}


def strict(schema: Any) -> Any:
    """Return a schema that refuses unknown fields, as an API server does."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: strict(value) for key, value in schema.items() if key not in {*_LEFT_OUT, "properties"}}
    if "properties" in schema:
        made["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made


def write() -> None:
    """Write the schemas for the tests, but for files whose licence is not Apache's: those are read where Go is."""
    FOLDER.mkdir(exist_ok=True)
    for source in SOURCES:
        for name, schema in schemas(source) if source.licence == APACHE else ():
            (FOLDER / f"{name}.json").write_text(json.dumps(schema, separators=(",", ":")) + "\n")
