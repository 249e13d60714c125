"""What the documents point to exists."""

import re
from pathlib import Path

import pytest

from tools.paths import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_named_tests_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)]
    named = re.findall(r"`(?:tests/)?((?:unit|contract|integration|e2e)/test_\w+\.py)`", text)
    missing = [link for link in links if link and not (document.parent / link).exists()]
    assert missing + [name for name in named if not (ROOT / "tests" / name).exists()] == []
