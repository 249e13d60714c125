"""Everything that is shipped is pinned with hashes, listed, and under a licence that was looked at."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools import supply_chain
from tools.paths import CONSTRAINTS


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("sbom")
    assert supply_chain.write_bills(folder) == 0
    return {image: json.loads((folder / f"{image}.cdx.json").read_text()) for image in supply_chain.IMAGES}


def test_every_package_of_the_lock_has_hashes() -> None:
    packages = re.split(r"\n(?=[a-z])", CONSTRAINTS.read_text())[1:]
    assert len(packages) > 50
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_a_bill_has_what_the_image_installs_and_nothing_of_the_tools(bills: dict[str, Any]) -> None:
    names = {image: {c["name"] for c in bill["components"]} for image, bill in bills.items()}
    assert {"Flask", "gunicorn", "pymongo", "Werkzeug", "cryptography"} <= names["order-service"]
    assert {"pika", "requests"} <= names["order-service"]
    assert "argon2-cffi" in names["user-service"] - names["order-service"]
    assert not {"pytest", "hypothesis", "mypy"} & set.union(*names.values())
    assert all(bill["bomFormat"] == "CycloneDX" for bill in bills.values())


def test_a_bill_has_the_versions_of_the_lock(bills: dict[str, Any]) -> None:
    locked = CONSTRAINTS.read_text()
    for component in (c for bill in bills.values() for c in bill["components"]):
        name = re.sub(r"[-_.]+", "-", component["name"]).lower()
        assert f"\n{name}=={component['version']} " in locked


def test_a_licence_that_nobody_looked_at_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply_chain, "LICENCES", supply_chain.LICENCES - {"ISC"})
    assert supply_chain.write_bills(tmp_path) == 1
    assert "licence not accepted: dnspython" in capsys.readouterr().out


def test_out_of_reach_of_the_advisories_the_check_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply_chain, "KNOWN_TO_BE_VULNERABLE", "http://127.0.0.1:1/")
    assert supply_chain.check_vulnerabilities() == 0
    assert "SKIPPED" in capsys.readouterr().out
