"""Phone numbers, by Google's knowledge of all numbering plans (the package phonenumbers)."""

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

from chassis.characters import without_ignorables

LONGEST_NUMBER = len("+") + 15  # ITU-T E.164
_WRONG = "must be a phone number with its country, such as +49 170 1234567"
_LETTER = re.compile(r"[^\W\d_]")


def check_phone(text: str) -> str:
    """Return a phone number in E.164. Raises ValueError for what cannot be called.

    A number that its numbering plan does not list is accepted if its length is possible: plans grow faster than
    packages are updated, and numbers reserved for examples are in none. What begins with a zero that the plan does not
    list is refused: that zero is dialled only within the country.
    """
    found = [number for spelling in _spellings(_plain(text)) if (number := _parse(spelling))]
    if any(number.extension for number in found):
        raise ValueError("must be a phone number without an extension, which no SMS can reach")
    for accepts in (phonenumbers.is_valid_number, _is_possible):
        for number in filter(accepts, found):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    raise ValueError(_WRONG)


def _plain(text: str) -> str:
    """Return the number with ASCII digits, without what nobody sees, with + for 00."""
    visible = without_ignorables(unicodedata.normalize("NFKC", text))
    digits = re.sub(r"\d", lambda digit: str(int(digit[0])), visible)
    return re.sub(r"^\W*00", "+", digits)


def _spellings(number: str) -> Iterator[str]:
    """Yield the number as it is, and without a zero in parentheses, which some countries have as a part of it."""
    yield number
    yield re.sub(r"\(\s*0\s*\)", "", number)


def _parse(spelling: str) -> PhoneNumber | None:
    """Return what is written, None if it is no number. Letters may begin an extension, and stand for no digits."""
    try:
        number = phonenumbers.parse(spelling)
    except NumberParseException:
        return None
    return number if number.extension or not _LETTER.search(spelling) else None


def _is_possible(number: PhoneNumber) -> bool:
    reason = phonenumbers.is_possible_number_with_reason(number)
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    possible = reason == ValidationResult.IS_POSSIBLE and len(written) <= LONGEST_NUMBER
    return possible and not number.italian_leading_zero
