"""./dev kubernetes without an API server: what it concludes from what kubectl says, and what it needs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.kubernetes import crds, dry_run, golang, rules
from tools.kubernetes.dry_run import Kubectl
from tools.paths import KUBERNETES

DEMO = KUBERNETES / "overlays/demo"
# Answers the command that `says` names with its text, and writes down every command.
FAKE = """
import json, sys
says, log = json.loads(sys.argv[1]), open(sys.argv[2], "a")
command = " ".join(sys.argv[3:])
log.write(command + "\\n")
for part, (code, out, err) in says.items():
    if part in command:
        print(out, end="")
        print(err, end="", file=sys.stderr)
        sys.exit(code)
"""


def kubectl(folder: Path, **says: tuple[int, str, str]) -> Kubectl:
    (folder / "fake.py").write_text(FAKE)
    named = {part.replace("_", "-"): answer for part, answer in says.items()}
    return Kubectl([sys.executable, str(folder / "fake.py"), json.dumps(named), str(folder / "log")])


def test_a_tree_without_complaints_is_tried_applied_and_compared(tmp_path: Path) -> None:
    assert dry_run.faults(kubectl(tmp_path), DEMO) == []
    assert (tmp_path / "log").read_text().splitlines() == [
        f"apply --server-side -f {KUBERNETES / 'base/namespace.yaml'}",
        f"kustomize {DEMO}",
        "apply --server-side --dry-run=server -f -",
        "apply --server-side -f -",
        "diff --server-side -f -",
        "delete job,statefulset --all --namespace=shop --wait=false",
    ]


def test_a_warning_is_a_fault_and_the_tree_is_not_applied(tmp_path: Path) -> None:
    warning = "Warning: would violate PodSecurity\n"
    assert dry_run.faults(kubectl(tmp_path, dry_run=(0, "applied", warning)), DEMO) == [warning.strip()]
    assert "apply --server-side -f -" not in (tmp_path / "log").read_text().splitlines()


def test_a_change_by_the_second_application_is_a_fault(tmp_path: Path) -> None:
    assert dry_run.faults(kubectl(tmp_path, diff=(1, "+  replicas: 1\n", "")), DEMO) == ["+  replicas: 1"]


def test_every_overlay_and_combination_is_checked_and_one_fault_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run.check(kubectl(tmp_path), [tmp_path / "crd.yaml"]) == 0
    accepted = capsys.readouterr().out.splitlines()
    assert {"overlays/demo: accepted", "overlays/production: accepted", "tests/everything: accepted"} <= set(accepted)
    assert dry_run.check(kubectl(tmp_path, diff=(1, "+ a line\n", "")), [tmp_path / "crd.yaml"]) == 1
    assert "overlays/demo: REFUSED\n    + a line\n" in capsys.readouterr().out


def test_a_definition_that_is_refused_ends_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run.check(kubectl(tmp_path, apply=(1, "", "no such version")), [tmp_path / "crd.yaml"]) == 1
    assert capsys.readouterr().out == "no such version\n"
    assert (tmp_path / "log").read_text() == f"apply --server-side -f {tmp_path / 'crd.yaml'}\n"


def test_without_go_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=r"needs Go .* https://go\.dev"):
        golang.go()


def test_a_module_that_cannot_be_downloaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho no network >&2; exit 1\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="The Go module example.test/operator@v1 cannot be downloaded:\nno network"):
        crds.file_of(crds.Source("example.test/operator@v1", "crd.yaml"))


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "string", "description": "long"}, {"type": "string"}),
        ({"x-kubernetes-int-or-string": True, "anyOf": []}, {"type": ["integer", "string"]}),
        (
            {"type": "object", "properties": {"description": {"type": "string"}}},
            {"type": "object", "properties": {"description": {"type": "string"}}, "additionalProperties": False},
        ),
        (
            {"properties": {}, "x-kubernetes-preserve-unknown-fields": True},
            {"properties": {}, "x-kubernetes-preserve-unknown-fields": True},
        ),
        ({"additionalProperties": {"description": "x"}}, {"additionalProperties": {}}),
    ],
)
def test_a_schema_becomes_strict_and_short(tmp_path: Path, schema: Any, strict: Any) -> None:
    assert crds.strict(schema) == strict


def test_the_file_of_alerts_is_written_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = rules.FILE.read_text()
    monkeypatch.setattr(rules, "FILE", tmp_path / "rules.yaml")
    rules.write()
    assert rules.FILE.read_text() == written
