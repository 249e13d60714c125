"""A cursor leads to the item after which it was made, and works in no other list."""

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from chassis.paging import decode_cursor, encode_cursor

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 7000, UTC)
moments = st.integers(min_value=0, max_value=4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
numbers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)


def cursor_of(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(texts, numbers, moments)
def test_a_cursor_holds_the_exact_values(text: str, number: int, moment: datetime) -> None:
    values = [text, number, moment]
    assert decode_cursor(encode_cursor("name", [*values]), "name", [str, int, datetime]) == values


@given(st.text(max_size=60))
def test_any_text_is_either_a_cursor_or_refused(cursor: str) -> None:
    with contextlib.suppress(Invalid):
        decode_cursor(cursor, "price", [int, str])


@given(st.binary(max_size=60))
def test_any_encoded_bytes_are_either_a_cursor_or_refused(content: bytes) -> None:
    with contextlib.suppress(Invalid):
        decode_cursor(base64.urlsafe_b64encode(content).decode(), "price", [datetime, str])


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "=",
        "a",
        "äöü",
        "\ud800",
        cursor_of(None),
        cursor_of({}),
        cursor_of([]),
        cursor_of(["price"]),
        cursor_of(["price", 1]),
        cursor_of(["price", 1, "a", "b"]),
        cursor_of([1, "a"]),
        cursor_of(["-price", 1, "a"]),
        cursor_of([{"price": 1}, 1, "a"]),
        cursor_of(["price", "1", "a"]),
        cursor_of(["price", True, "a"]),
        cursor_of(["price", 1.0, "a"]),
        cursor_of(["price", float("nan"), "a"]),
        cursor_of(["price", None, "a"]),
        cursor_of(["price", {"$gt": ""}, "a"]),
        cursor_of(["price", 1, {"$gt": ""}]),
        cursor_of(["price", 1, 2]),
        cursor_of(["price", 2**53, "a"]),
        cursor_of(["price", -(2**63), "a"]),
        cursor_of(["price", 1, "\ud800"]),
        cursor_of(["price", 1, "a"]) + "\n",
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b'["price", ' + b"9" * 10_000 + b', "a"]').decode(),
        base64.urlsafe_b64encode(b'["price", 1, "\xff"]').decode(),
    ],
)
def test_a_text_that_is_not_a_cursor_of_the_list_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_cursor(cursor, "price", [int, str])
    assert refused.value.members["errors"] == [{"field": "cursor", "message": "is not a cursor of this list"}]


@pytest.mark.parametrize("milliseconds", [2**53 - 1, -(2**53) + 1, 10**15, -(10**15)])
def test_a_moment_beyond_the_calendar_is_refused(milliseconds: int) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor_of(["newest", milliseconds]), "newest", [datetime])


def test_the_table_above_differs_from_a_cursor_that_is_accepted() -> None:
    assert decode_cursor(cursor_of(["price", 1, "a"]), "price", [int, str]) == [1, "a"]


def test_a_cursor_can_stand_in_a_url() -> None:
    assert set(encode_cursor("name", ["ÿ?>~" * 20, MOMENT])) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
