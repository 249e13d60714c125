"""Everything that is shipped is pinned with hashes, listed, and under an accepted licence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.checks import supply_chain
from tools.paths import CONSTRAINTS


@pytest.fixture(scope="module")
def sboms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("sbom")
    assert supply_chain.write_sboms(folder) == 0
    return {image: json.loads((folder / f"{image}.cdx.json").read_text()) for image in supply_chain.IMAGES}


def test_every_package_of_the_lock_has_hashes() -> None:
    packages = re.split(r"\n(?=[a-z])", CONSTRAINTS.read_text())[1:]
    assert len(packages) > 50
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_a_bill_of_materials_has_the_packages_of_the_image_and_none_of_the_tools(sboms: dict[str, Any]) -> None:
    names = {image: {c["name"] for c in sbom["components"]} for image, sbom in sboms.items()}
    assert {"Flask", "gunicorn", "pymongo", "Werkzeug", "cryptography"} <= names["order-service"]
    assert {"pika", "requests"} <= names["order-service"]
    assert "argon2-cffi" in names["user-service"] - names["order-service"]
    assert not {"pytest", "hypothesis", "mypy"} & set.union(*names.values())
    assert all(sbom["bomFormat"] == "CycloneDX" for sbom in sboms.values())


def test_a_bill_of_materials_has_the_versions_of_the_lock_and_the_licences(sboms: dict[str, Any]) -> None:
    locked = CONSTRAINTS.read_text()
    for component in (c for sbom in sboms.values() for c in sbom["components"]):
        name = re.sub(r"[-_.]+", "-", component["name"]).lower()
        assert f"\n{name}=={component['version']} " in locked
        assert component["licenses"]


def test_every_licence_is_accepted_and_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert supply_chain.check_licences() == 0
    assert re.search(r"dnspython +\S+ +ISC", capfd.readouterr().out)


def test_a_licence_that_is_not_accepted_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply_chain, "LICENCES", [licence for licence in supply_chain.LICENCES if licence != "ISC"])
    assert supply_chain.check_licences() == 1
    assert "license ISC not in allow-only licenses was found for package dnspython" in capfd.readouterr().err


def test_the_check_says_so_when_the_advisories_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply_chain, "VULNERABLE_PACKAGE", "http://127.0.0.1:1/")
    assert supply_chain.check_vulnerabilities() == 0
    assert "SKIPPED" in capsys.readouterr().out
