"""The keys by which texts are searched, sorted and compared: names by their words, SKUs as a whole.

Stored texts and search texts go through the same functions. After a change of these rules raise `KEYS_VERSION`: the
next start renews the keys of all products.
"""

import unicodedata

from chassis.characters import without_ignorables

KEYS_VERSION = 2  # documents of version 1 have no version
SORTED_LENGTH = 100  # characters of a name: cursors contain it, and must fit into a URL
SEARCHED_LENGTH = 50  # characters of a word: each of its prefixes is an entry of an index

# Letters that Unicode does not decompose, though people without them on their keyboard write plain ones. The Arabic
# tatweel only stretches a word.
_PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "\u0640": None}
)


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits with their marks.

    In a script without blanks between words, such as Chinese, Japanese and Thai, a run is a word.
    """
    runs = "".join(c if c.isalnum() or _is_mark(c) else " " for c in _plain(text)).split()
    return [run[:SEARCHED_LENGTH] for run in runs if any(c.isalnum() for c in run)]


def prefixes_of(text: str) -> list[str]:
    """Return all prefixes of all words. With them a search by prefix is a look-up by equality."""
    return sorted({word[:length] for word in words_of(text) for length in range(1, len(word) + 1)})


def sort_key(text: str) -> str:
    """Return the key that sorts a name: first its letters without case and marks, then with their marks.

    The tab between the two parts sorts before every character of a name.
    """
    plain, folded = (" ".join(form.split())[:SORTED_LENGTH] for form in (_plain(text), _folded(text)))
    return plain if plain == folded else f"{plain}\t{folded}"


def sku_key(sku: str) -> str:
    """Return the same key for all spellings of a SKU that look alike."""
    return " ".join(without_ignorables(_folded(sku)).split())


def _folded(text: str) -> str:
    """Return a text without case and compatibility forms (Unicode, section 3.13: compatibility caseless matching)."""
    folded = unicodedata.normalize("NFD", text)
    for _ in range(2):  # compatibility forms may have case: the square of ㎒ is MHz
        folded = unicodedata.normalize("NFKD", folded.casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def _plain(text: str) -> str:
    """Return a text without case, invisible characters and optional marks."""
    decomposed = unicodedata.normalize("NFKD", without_ignorables(_folded(text)))
    letters = "".join(c for c in decomposed if not _is_optional_mark(c))
    return unicodedata.normalize("NFC", letters.translate(_PLAIN_LETTERS))


def _is_optional_mark(character: str) -> bool:
    """Return whether a character is an accent or point that people often do not write, by its combining class.

    These are overlays (1), the points of Hebrew, Arabic and Syriac (10 to 36), accents (200 and more) and enclosing
    marks. Vowel signs, tones and viramas of the scripts of India and South-East Asia (0, 9, 84 to 132), nuktas (7) and
    the voicing marks of kana (8) make a different word.
    """
    combining_class = unicodedata.combining(character)
    has_optional_class = combining_class == 1 or 10 <= combining_class <= 36 or combining_class >= 200
    return has_optional_class or unicodedata.category(character) == "Me"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
