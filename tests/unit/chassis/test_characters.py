"""What is called a name shows something, whatever the script, and nothing turns it around."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from chassis.schemas import VISIBLE

name = TypeAdapter(Annotated[str, VISIBLE])

INVISIBLE = [
    *("", " ", "\u00a0", "\u3000", "\n\t", "\u2028"),
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200d", "\u2060", "\u2064"),
    *("\u2800", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\ufffc", "\uffff", "\U0001d159", "\U000e0041"),
    *("\u0301", "\u093f", "\u20dd", " \u0301\u3164\ufe0f ", "\ue000", "\U0010ffff"),
]
LEGIBLE = [
    *("Ana", "O'Neill", "Åse", "A\u030ase", "-", "#1", "☕", "❤\ufe0f", "👩\u200d💻", "1\ufe0f\u20e3", "\U0001fae8"),  # noqa: RUF001
    *(
        "می\u200cخواهم",
        "क्\u200dष",
        "กีฬา",
        "ក្រុម",
        "한국",
        "שָׁלוֹם",
        "李",
        "\u200fשלום",
        "🏴\U000e0067\U000e007f",
        "\ue000x",
    ),
]
TURNING = [f"Ana{turn}xcod" for turn in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]


@pytest.mark.parametrize("text", [*INVISIBLE, *TURNING], ids=ascii)
def test_a_name_without_visible_characters_or_with_direction_overrides_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        name.validate_python(text)


@pytest.mark.parametrize("text", LEGIBLE, ids=ascii)
def test_names_of_every_script_are_kept_as_they_are_without_blanks_around_them(text: str) -> None:
    assert name.validate_python(f" {text}\u3000") == text
