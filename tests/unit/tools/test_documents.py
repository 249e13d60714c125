"""The documents agree with the code: links, anchors and named tests, functions and variables exist."""

import re
from pathlib import Path

import pytest

from tools.paths import ROOT

SERVICES = ("user-service", "product-service", "order-service", "notification-service")
READMES = [ROOT / service / "README.md" for service in SERVICES]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *READMES, *(ROOT / ".github").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])
VARIABLE = re.compile(r"\$\{([A-Z_]+)")
TEST_COMMAND = re.compile(r"^\./dev test (tests/\S+)(?: -k (\w+))?$", re.MULTILINE)
STOP = re.compile(r"^\*\*Read\*\* .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
FILE_AND_NAMES = re.compile(r"\]\(([^)]+)\)([^\[]*)")
TERM = re.compile(r"^\* (\*\*.*?): (.*?)(?=^\* |^#|\Z)", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_tests_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    named = re.findall(r"`(?:tests/)?((?:unit|contract|integration|e2e)/test_\w+\.py)`", text)
    missing = [link for link in links if not leads_somewhere(document, link)]
    assert missing + [name for name in named if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_links_the_readme_of_each_service(service: str) -> None:
    assert f"| [{service}]({service}/README.md) |" in (ROOT / "README.md").read_text()


def test_every_test_that_the_tour_breaks_exists() -> None:
    commands = TEST_COMMAND.findall((ROOT / "docs/tour.md").read_text())
    missing = [f"{path} -k {word}" for path, word in commands if not re.search(rf"def test_\w*{word}", read(path))]
    assert (missing, len(commands) >= 20) == ([], True)


def test_every_function_that_the_tour_names_is_in_its_file() -> None:
    stops = STOP.findall((ROOT / "docs/tour.md").read_text())
    named = [
        (path, name)
        for stop in stops
        for path, names in FILE_AND_NAMES.findall(stop)
        for name in re.findall(r"\w+", " ".join(re.findall(r"`([\w.]+)`", names)))
    ]
    missing = [(path, name) for path, name in named if not re.search(rf"(?:def|class) {name}\b", read(f"docs/{path}"))]
    assert (missing, len(stops)) == ([], 20)


def test_every_term_of_the_glossary_is_found_in_a_file_that_it_links() -> None:
    """A reader searches the code for the term."""
    missing = []
    for heading, text in TERM.findall((ROOT / "docs/glossary.md").read_text()):
        code = " ".join(read(f"docs/{path}") for path, _ in FILE_AND_NAMES.findall(text))
        terms = [plain(term) for term in heading.replace("*", "").split(", ")]
        missing += [] if any(term in plain(code) for term in terms) else terms
    assert missing == []


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_every_variable_of_compose_is_documented(page: str) -> None:
    used = {name for file in ROOT.glob("*compose*.yml") for name in VARIABLE.findall(file.read_text())}
    documented = set(re.findall(r"\b[A-Z_]+\b", (ROOT / page).read_text()))
    assert used - documented == set()


def read(path: str) -> str:
    return (ROOT / path).read_text()


def plain(text: str) -> str:
    """Return a text without the differences between `dead letter`, `dead-letter`, `DEAD_LETTER` and `DeadLetter`."""
    return re.sub(r"[-_\s]", "", text).lower()


def leads_somewhere(document: Path, link: str) -> bool:
    """Return whether the file of a link exists and has the heading that the link names."""
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
