"""How texts are searched, sorted and compared: names by their words, SKUs as a whole.

Stored texts and what is searched for go through the same functions. After a change of these rules raise `KEYS_VERSION`:
the next start makes the keys of all products anew.
"""

import unicodedata

from chassis.characters import without_ignorables

KEYS_VERSION = 2  # 1 is said by no document: the rules before there were versions
SORTED_LENGTH = 100  # of a name: cursors hold it, and must fit into a URL
SEARCHED_LENGTH = 50  # of a word: each of its beginnings is an entry of an index

# Letters that Unicode does not decompose, though people without them on the keyboard write others; the Arabic tatweel
# only makes a word longer.
_PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "\u0640": None}
)


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits with the marks that belong to them.

    Where a script writes no blanks between words, as Chinese, Japanese and Thai, a run is a word.
    """
    runs = "".join(c if c.isalnum() or _is_mark(c) else " " for c in _plain(text)).split()
    return [run[:SEARCHED_LENGTH] for run in runs if any(c.isalnum() for c in run)]


def prefixes_of(text: str) -> list[str]:
    """Return all beginnings of all words, so that a search by prefix is a look-up by equality."""
    return sorted({word[:length] for word in words_of(text) for length in range(1, len(word) + 1)})


def sort_key(text: str) -> str:
    """Return what a name is sorted by: its letters without case and marks, then those marks.

    The tab between the two comes before whatever a name may hold.
    """
    plain, folded = (" ".join(form.split())[:SORTED_LENGTH] for form in (_plain(text), _folded(text)))
    return plain if plain == folded else f"{plain}\t{folded}"


def sku_key(sku: str) -> str:
    """Return what all spellings of a SKU have in common: people cannot tell them apart."""
    return " ".join(without_ignorables(_folded(sku)).split())


def _folded(text: str) -> str:
    """Return a text without case and compatibility forms (Unicode, section 3.13: compatibility caseless matching)."""
    folded = unicodedata.normalize("NFD", text)
    for _ in range(2):  # compatibility forms may have case: the square of ㎒ is MHz
        folded = unicodedata.normalize("NFKD", folded.casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def _plain(text: str) -> str:
    """Return a text without case, invisible characters, and the marks that may be left out."""
    decomposed = unicodedata.normalize("NFKD", without_ignorables(_folded(text)))
    kept = "".join(c for c in decomposed if not _may_be_left_out(c))
    return unicodedata.normalize("NFC", kept.translate(_PLAIN_LETTERS))


def _may_be_left_out(character: str) -> bool:
    """Return whether a mark is an accent or point that people leave out, by where it stands (its combining class).

    Left out are overlays (1), the points of Hebrew, Arabic and Syriac (10 to 36), accents (200 and more), enclosing
    marks. Signs of vowels, tones and viramas of the scripts of India and South-East Asia (0, 9, 84 to 132), nuktas (7)
    and the voicing marks of kana (8) make another word.
    """
    place = unicodedata.combining(character)
    return place == 1 or 10 <= place <= 36 or place >= 200 or unicodedata.category(character) == "Me"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
