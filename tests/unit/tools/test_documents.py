"""The documents lead somewhere: links, anchors and named tests exist, and every variable of compose is explained."""

import re
from pathlib import Path

import pytest

from tools.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])
VARIABLE = re.compile(r"\$\{([A-Z_]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_tests_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    named = re.findall(r"`(?:tests/)?((?:unit|contract|integration|e2e)/test_\w+\.py)`", text)
    missing = [link for link in links if not leads_somewhere(document, link)]
    assert missing + [name for name in named if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_every_variable_of_compose_is_documented(page: str) -> None:
    used = {name for file in ROOT.glob("*compose*.yml") for name in VARIABLE.findall(file.read_text())}
    documented = set(re.findall(r"\b[A-Z_]+\b", (ROOT / page).read_text()))
    assert used - documented == set()


def leads_somewhere(document: Path, link: str) -> bool:
    """Return whether the file of a link exists and has the heading that the link names."""
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
