"""The tour and the glossary agree with the code: what they name can be found where they say it is."""

import re

from tools.paths import ROOT

DOCS = ROOT / "docs"
STOP = re.compile(r"^### ", re.MULTILINE)
READ = re.compile(r"^\*\*Read\*\* .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)([^\[]*)")  # the path, and the text up to the next link
CHANGE = re.compile(r"\b(?:replace|delete)(?: the \w+(?: \w+)?)? `([^`]+)`", re.IGNORECASE)
TEST_COMMAND = re.compile(r"^\./dev test (tests/\S+)(?: -k (\w+))?$", re.MULTILINE)
TERM = re.compile(r"^\* (\*\*.*?): (.*?)(?=^\* |^#|\Z)", re.MULTILINE | re.DOTALL)


def test_every_function_that_a_stop_names_is_in_its_file() -> None:
    named = [
        (path, name)
        for stop in stops()
        for path, text in LINK.findall(what_to_read(stop))
        for name in re.findall(r"\w+", " ".join(re.findall(r"`([\w.]+)`", text)))
    ]
    missing = [(path, name) for path, name in named if not re.search(rf"(?:def|class) {name}\b", code_of([path]))]
    assert (missing, len(named) > 40) == ([], True)


def test_every_line_that_a_stop_changes_is_in_one_of_its_files() -> None:
    changes = [
        (line, code_of([path for path, _ in LINK.findall(what_to_read(stop))]))
        for stop in stops()
        for line in CHANGE.findall(" ".join(stop.split()))
    ]
    assert ([line for line, code in changes if line not in code], len(changes) >= 15) == ([], True)


def test_every_test_that_a_stop_breaks_exists() -> None:
    commands = TEST_COMMAND.findall((DOCS / "tour.md").read_text())
    missing = [f"{path} -k {word}" for path, word in commands if word not in names_of_tests(path)]
    assert (missing, len(commands) > 20) == ([], True)


def test_every_term_of_the_glossary_is_in_a_file_that_it_links() -> None:
    """A reader searches the code for the term."""
    entries = TERM.findall((DOCS / "glossary.md").read_text())
    missing = []
    for heading, text in entries:
        code = plain(code_of([path for path, _ in LINK.findall(text)]))
        terms = heading.replace("*", "").split(", ")
        missing += [] if any(plain(term) in code for term in terms) else terms
    assert (missing, len(entries) > 40) == ([], True)


def stops() -> list[str]:
    return STOP.split((DOCS / "tour.md").read_text())[1:]


def what_to_read(stop: str) -> str:
    found = READ.search(stop)
    assert found, f"a stop without its files: {stop[:60]}"
    return found[0]


def code_of(links: list[str]) -> str:
    """Return the text of the linked files; a folder has none."""
    paths = [DOCS / link for link in links]
    return "\n".join(path.read_text() for path in paths if path.is_file())


def names_of_tests(path: str) -> str:
    return " ".join(re.findall(r"def (test_\w+)", (ROOT / path).read_text()))


def plain(text: str) -> str:
    """Return a text without the differences between `dead letter`, `dead-letter`, `DEAD_LETTER` and `DeadLetter`."""
    return re.sub(r"[-_\s]", "", text).lower()
