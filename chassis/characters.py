"""Visible and invisible characters, by their Unicode properties.

Python's `unicodedata` lacks the property Default_Ignorable_Code_Point, so its list stands here. Unicode adds to it only
within blocks that are listed as a whole.
"""

import re
import unicodedata

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt): soft hyphen, joiners, marks of direction,
# variation selectors, Hangul fillers, tags.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Letters and symbols by their category, but without a picture: the braille blank, the Egyptian blanks, the empty note
# head, the place of an object that is not there.
_BLANK = re.compile("[\u2800\ufffc\U00013441\U00013442\U0001d159]")
# Noncharacters: the last two of each plane, and 32 more.
_NO_CHARACTER = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)) + "]"
)
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # embeddings, overrides and isolates (UAX 9)


def without_ignorables(text: str) -> str:
    """Return a text without the characters that nobody sees."""
    return _IGNORABLE.sub("", text)


def shows_something(text: str) -> bool:
    """Return whether a reader sees anything: a letter, digit, punctuation mark or symbol.

    A combining mark needs one of these to stand on, and a private character shows what each font likes. A character
    that this Python's Unicode does not know yet counts: it may be a new emoji.
    """
    seen = _NO_CHARACTER.sub("", _BLANK.sub("", without_ignorables(text)))
    return any(unicodedata.category(c)[0] in "LNPS" or unicodedata.category(c) == "Cn" for c in seen)


def turns_direction(text: str) -> bool:
    """Return whether a text turns the direction of writing by force, and so may show what follows it backwards."""
    return _TURNING.search(text) is not None
