"""Visible and invisible characters, by their Unicode properties.

Python's `unicodedata` lacks the property Default_Ignorable_Code_Point, so this module lists its characters. Unicode
adds new ones only within blocks that are listed as a whole.
"""

import re
import unicodedata

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt): soft hyphen, joiners, marks of direction,
# variation selectors, Hangul fillers, tags.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Letters and symbols by category, but without a glyph: braille blank, object replacement character, Egyptian blanks,
# null note head; and noncharacters: the last two of each plane, and 32 more.
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_NO_GLYPH = re.compile(f"[\u2800\ufffc\U00013441\U00013442\U0001d159{_NONCHARACTERS}]")
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")  # embeddings, overrides and isolates (UAX 9)


def without_ignorables(text: str) -> str:
    """Return a text without its invisible characters."""
    return _IGNORABLE.sub("", text)


def has_visible_character(text: str) -> bool:
    """Return whether a text has a visible character: a letter, digit, punctuation mark or symbol.

    Combining marks alone do not count, nor do private characters, which differ by font. A character that this Python's
    Unicode does not know yet counts, because it may be a new emoji.
    """
    visible = _NO_GLYPH.sub("", without_ignorables(text))
    return any(unicodedata.category(c)[0] in "LNPS" or unicodedata.category(c) == "Cn" for c in visible)


def overrides_text_direction(text: str) -> bool:
    """Return whether a text overrides the text direction, so that the rest of a line may appear backwards."""
    return _OVERRIDES.search(text) is not None
