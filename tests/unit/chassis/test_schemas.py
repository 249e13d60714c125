"""Money and times are exact; input is strict."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chassis.schemas import (
    MAX_MONEY,
    Body,
    Identifier,
    MoneyIn,
    MoneyOut,
    PageQuery,
    Reply,
    Text,
    Timestamp,
    format_money,
    format_time,
    to_json,
)

money = TypeAdapter(MoneyIn)
text = TypeAdapter(Text)
identifier = TypeAdapter(Identifier)
amounts = st.integers(min_value=0, max_value=MAX_MONEY)


class Thing(Body):
    """A body with one field of each kind."""

    count: int
    name: str = ""


class Priced(Reply):
    """A reply with money and a time."""

    price: MoneyOut
    at: Timestamp


@given(amounts)
def test_money_comes_back_as_it_was_written(minor_units: int) -> None:
    assert money.validate_python(format_money(minor_units)) == minor_units


@given(amounts)
def test_a_json_number_is_the_same_amount_as_its_text(minor_units: int) -> None:
    number = json.loads(format_money(minor_units))
    assert money.validate_python(number) == minor_units


@given(amounts)
def test_money_is_written_with_two_decimals(minor_units: int) -> None:
    written = format_money(minor_units)
    assert Decimal(written) * 100 == minor_units
    assert written[-3] == "."


@given(st.floats() | st.integers() | st.text() | st.booleans() | st.none() | st.decimals())
def test_whatever_is_accepted_as_money_is_within_bounds(value: Any) -> None:
    try:
        accepted = money.validate_python(value)
    except ValidationError:
        return
    assert type(accepted) is int
    assert 0 <= accepted <= MAX_MONEY
    assert Decimal(str(value)) * 100 == accepted


@pytest.mark.parametrize(
    ("value", "minor_units"),
    [
        ("19.99", 1999),
        ("0", 0),
        ("0.1", 10),
        ("007", 700),
        (19.99, 1999),
        (20, 2000),
        (0.1, 10),
        (1e2, 10000),
        (999999999.99, MAX_MONEY),
        ("999999999.99", MAX_MONEY),
    ],
)
def test_amounts_are_read(value: Any, minor_units: int) -> None:
    assert money.validate_python(value) == minor_units


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        "",
        " 1",
        "1 ",
        "1\n",
        "1.",
        ".5",
        "1.999",
        "1,50",
        "+1",
        "-1",
        "-0.01",
        "1e2",
        "0x10",
        "1_000",
        "١",
        "NaN",
        "Infinity",
        "1000000000",
        -1,
        -0.01,
        0.001,
        19.999,
        0.1 + 0.2,
        1000000000,
        10**400,
        1e300,
        float("nan"),
        float("inf"),
        float("-inf"),
        [],
        {},
        {"$gt": 0},
        [1],
        b"1",
    ],
)
def test_a_value_that_is_not_an_amount_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        money.validate_python(value)


@pytest.mark.parametrize("count", [True, False, "2", 1.0, 1.5, None, [], {}, "", float("nan")])
def test_a_value_that_only_looks_like_an_integer_is_refused(count: Any) -> None:
    with pytest.raises(ValidationError):
        Thing.model_validate({"count": count})


@pytest.mark.parametrize("name", [1, True, None, b"x", ["x"], {"$ne": None}])
def test_a_value_that_is_not_a_text_is_refused(name: Any) -> None:
    with pytest.raises(ValidationError):
        Thing.model_validate({"count": 1, "name": name})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Thing.model_validate({"count": 1, "colour": "red"})


@pytest.mark.parametrize("value", ["a\x00b", "\x1b[31m", "a\rb", "\x7f", "\x85", "\ud800", "a\udfff"])
def test_text_with_control_characters_or_lone_surrogates_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        text.validate_python(value)


@pytest.mark.parametrize("value", ["", "Kaffee für zwei", "two\nlines", "a\tb", "☕", "日本", "👩‍💻"])  # noqa: RUF001
def test_ordinary_text_passes_unchanged(value: str) -> None:
    assert text.validate_python(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a\n", "a/b", "$where", "ä", "a" * 65, "a\x00"])
def test_a_value_that_is_not_an_identifier_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        identifier.validate_python(value)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"limit": "1.0"},
        {"limit": "1e1"},
        {"limit": "1_0"},
        {"limit": " 1"},
        {"limit": "+1"},
        {"limit": "true"},
        {"limit": ""},
        {"limit": "9" * 5000},
        {"cursor": "a" * 2001},
        {"page": "2"},
    ],
)
def test_invalid_parameters_of_a_page_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PageQuery.model_validate(query)


def test_a_page_has_twenty_items_unless_asked_for_others() -> None:
    assert PageQuery.model_validate({}).limit == 20
    assert [PageQuery.model_validate({"limit": limit}).limit for limit in ("1", "100")] == [1, 100]


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00.000Z"),
        (datetime(2026, 1, 31, 12, 0, 0, 7999, UTC), "2026-01-31T12:00:00.007Z"),
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))), "2026-01-31T10:00:00.000Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(moment: datetime, written: str) -> None:
    assert format_time(moment) == written


def test_a_reply_is_made_from_an_object_without_its_other_attributes() -> None:
    class Source:
        price, at, secret = 1999, datetime(2026, 1, 31, 12, tzinfo=UTC), "hidden"

    assert json.loads(to_json(Priced, Source())) == {"price": "19.99", "at": "2026-01-31T12:00:00.000Z"}
