"""The PrometheusRule of the monitoring component, made from the rules that Prometheus itself reads."""

from typing import Any

import yaml

from tools.paths import KUBERNETES, MONITORING

FILE = KUBERNETES / "components/monitoring/rules.yaml"
HEADER = "# Made from deploy/monitoring/rules by `./dev kubernetes --generate`; a test compares them.\n"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes texts of several lines as such."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def prometheus_rule() -> dict[str, Any]:
    """Return the resource, with the groups of all files."""
    files = sorted((MONITORING / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "shop"}}
    return {**head, "spec": {"groups": groups}}


def write() -> None:
    """Write the file of the component."""
    FILE.write_text(HEADER + yaml.dump(prometheus_rule(), Dumper=_Dumper, sort_keys=False, width=120))
