"""Phone numbers, checked against all numbering plans (Google's data, in the package phonenumbers)."""

import re
import unicodedata

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

from chassis.characters import without_ignorables

MAX_NUMBER_LENGTH = len("+") + 15  # ITU-T E.164
_LETTER = re.compile(r"[^\W\d_]")


def check_phone(text: str) -> str:
    """Return a phone number in E.164. Raises ValueError if it cannot be called.

    A number that its plan does not list is accepted if its length is possible: plans grow faster than packages are
    updated, and no plan lists the numbers reserved for examples. An unlisted number that begins with a zero is refused:
    that zero is dialled only within the country.
    """
    number_text = _plain(text)
    without_zero = re.sub(r"\(\s*0\s*\)", "", number_text)  # some countries have (0) as a part of the number
    numbers = [number for spelling in (number_text, without_zero) if (number := _parse(spelling))]
    if any(number.extension for number in numbers):
        raise ValueError("must be a phone number without an extension, which no SMS can reach")
    for accepts in (phonenumbers.is_valid_number, _is_possible):
        for number in filter(accepts, numbers):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    raise ValueError("must be a phone number with its country, such as +49 170 1234567")


def _plain(text: str) -> str:
    """Return the number in ASCII digits, without invisible characters, with + instead of 00."""
    visible = without_ignorables(unicodedata.normalize("NFKC", text))
    digits = re.sub(r"\d", lambda digit: str(int(digit[0])), visible)
    return re.sub(r"^\W*00", "+", digits)


def _parse(spelling: str) -> PhoneNumber | None:
    """Return the number, or None. A letter may begin an extension; it does not stand for a digit."""
    try:
        number = phonenumbers.parse(spelling)
    except NumberParseException:
        return None
    return number if number.extension or not _LETTER.search(spelling) else None


def _is_possible(number: PhoneNumber) -> bool:
    reason = phonenumbers.is_possible_number_with_reason(number)
    too_long = len(phonenumbers.format_number(number, PhoneNumberFormat.E164)) > MAX_NUMBER_LENGTH
    return reason == ValidationResult.IS_POSSIBLE and not too_long and not number.italian_leading_zero
