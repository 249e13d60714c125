"""The page stays small, runs nothing but its own files, and has each of its texts in each language."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.paths import STOREFRONT

MAX_LINES, MAX_MODULE, MAX_WIDTH = 1500, 200, 120  # together; of a module; of a line in characters
CODE = sorted(file for file in STOREFRONT.rglob("*") if file.suffix in (".css", ".html", ".js"))
SCRIPTS = [file for file in CODE if file.suffix == ".js"]
TEXTS = {file.stem: json.loads(file.read_text()) for file in (STOREFRONT / "texts").glob("??.json")}

# They make markup or code of a text, which may come from anybody.
DANGEROUS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|parseFromString|createContextualFragment|srcdoc"
    r"|document\.write|eval\(|Function\(|cssText|setTimeout\([\"'`]|trustedTypes)"
)
ADDRESS = re.compile(r"""(?:\b[a-z]+:|["'`(=])//[\w.$:-]+""")
NAMESPACE = "http://www.w3.org"  # a name, which no browser asks for
KEY = re.compile(r"""["'`]([a-z]+\.(?:[\w./-]|\$\{[^}`]*\})+)["'`]""")  # may have parts that are filled in
FILLED_IN = re.compile(r"\$\{[^}]*\}")
COUNTED = re.compile(r"\.(zero|one|two|few|many|other)$")  # the categories of Intl.PluralRules
STORED = {"shop.cart", "shop.language", "shop.session"}  # names of what a browser stores and shares between tabs
VALUE = re.compile(r"\{(\w+)\}")


class Inline(HTMLParser):
    """Collects what a page has in itself instead of in a file of its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(f"<{tag}>")
        self.found += [name for name, value in attrs if name == "style" or re.match("on|javascript:", name)]
        self.found += [value for value in names.values() if value and value.startswith("javascript:")]


def relative(file: Path) -> str:
    return str(file.relative_to(STOREFRONT))


def named_keys() -> set[str]:
    """Return what looks like the key of a text in the scripts."""
    return {key for file in SCRIPTS for key in KEY.findall(file.read_text())}


def pattern(key: str) -> re.Pattern[str]:
    """Return what a key stands for: `status.${order.status}` for each text of a status."""
    return re.compile(r"[\w/-]+".join(map(re.escape, FILLED_IN.split(key))))


def test_the_page_is_small() -> None:
    lines = {relative(file): len(file.read_text().splitlines()) for file in CODE}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE} == {}
    assert sum(lines.values()) <= MAX_LINES
    assert [name for name in lines if name.endswith(".js")]


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_a_line_is_short(file: Path) -> None:
    lines = enumerate(file.read_text().splitlines(), 1)
    assert [number for number, line in lines if len(line) > MAX_WIDTH] == []


@pytest.mark.parametrize("file", [file for file in CODE if file.suffix == ".html"], ids=relative)
def test_scripts_and_styles_are_files(file: Path) -> None:
    assert Inline(file.read_text()).found == []


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_no_text_becomes_markup_or_code(file: Path) -> None:
    assert DANGEROUS.findall(file.read_text()) == []


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_no_other_site_is_used(file: Path) -> None:
    assert [address for address in ADDRESS.findall(file.read_text()) if address != NAMESPACE] == []


def test_each_language_has_the_same_texts() -> None:
    assert set(TEXTS) == {"de", "en"}
    assert set(TEXTS["de"]) ^ set(TEXTS["en"]) == set()


def test_a_text_has_the_same_values_in_each_language() -> None:
    values = {language: {key: set(VALUE.findall(texts[key])) for key in texts} for language, texts in TEXTS.items()}
    assert {key: found for key, found in values["de"].items() if found != values["en"][key]} == {}


def test_every_text_that_the_code_names_exists() -> None:
    known = {COUNTED.sub("", key) for key in TEXTS["en"]} | TEXTS["en"].keys()
    topics = {key.partition(".")[0] for key in known}
    named = {key for key in named_keys() - STORED if key.partition(".")[0] in topics}
    assert {key for key in named if not any(map(pattern(key).fullmatch, known))} == set()


def test_the_code_uses_every_text() -> None:
    patterns = [pattern(key) for key in named_keys()]
    unused = [key for key in TEXTS["en"] if not any(each.fullmatch(COUNTED.sub("", key)) for each in patterns)]
    assert unused == []
