"""Base models and field types of HTTP bodies and query strings (pydantic 2).

Input is strict: `true`, `"2"` and `1.0` are no integers, unknown fields are rejected, and text has no control
characters. Names and other labels that people read are `VISIBLE`. Put a limit of a text's length before these
validators; otherwise pydantic applies it to their result. Money is a whole number of minor units (cents) in the code
and the database, and a string with two decimals in JSON.
"""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
)

from chassis.characters import has_visible_character, overrides_text_direction
from chassis.urls import has_only_url_characters, split_url

MAX_MONEY = 99_999_999_999  # minor units: 999999999.99
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?", re.ASCII)


class Body(BaseModel):
    """A JSON body: strict types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


def with_example(**fields: Any) -> ConfigDict:
    """Return the configuration of a model that shows this example in the API's description."""
    return ConfigDict(json_schema_extra={"example": fields})


class Query(BaseModel):
    """Query parameters, parsed from text; unknown ones are rejected."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    @cache
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the JSON schema. It is cached because flask-openapi3 reads it at every request."""
        return super().model_json_schema(*args, **kwargs)


class Reply(BaseModel):
    """A JSON reply, made from an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


def _only_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,10}", value):
        raise ValueError("must be a whole number")
    return value


def _none_if_blank(value: object) -> object:
    """Return None for a blank text: HTML forms also send the fields that are empty."""
    return None if isinstance(value, str) and not value.strip() else value


WholeNumber = Annotated[int, BeforeValidator(_only_digits)]  # of a query, which has texts only
BlankIsNone = BeforeValidator(_none_if_blank)


def _parse_time(text: object) -> datetime:
    """Return a time in UTC. Raises ValueError for a text without an offset, or a time that does not exist."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ValueError("must be a time with its offset (RFC 3339), for example 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time that exists") from None


def _check_web_address(url: str) -> str:
    parts = split_url(url, "http", "https")
    if parts is None or parts.username or not has_only_url_characters(url):
        raise ValueError("must be a URL that begins with https:// or http://")
    return url


class PageQuery(Query):
    """The parameters of every list. An empty cursor means the first page."""

    limit: WholeNumber = Field(20, ge=1, le=100)
    cursor: Annotated[str | None, BlankIsNone] = Field(None, max_length=2000)

    @field_validator("*", mode="before")
    @classmethod
    def _no_control_characters(cls, value: object) -> object:
        return _printable(value) if isinstance(value, str) else value


def to_json(model: type[Reply], source: object) -> str:
    """Return the JSON object that a model makes of a source object."""
    return model.model_validate(source).model_dump_json()


def _parse_money(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{Decimal(str(value)):f}"  # without an exponent
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise ValueError("must be an amount from 0 to 999999999.99 with at most two decimals")
    return int(Decimal(value) * 100)


def format_money(minor_units: int) -> str:
    """Return an amount of minor units with two decimals: `19.99` for 1999."""
    return f"{minor_units // 100}.{minor_units % 100:02d}"


def format_time(moment: datetime) -> str:
    """Return a time in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def read_time(value: object) -> datetime | None:
    """Return the time in a text (ISO 8601, with an offset from UTC), None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text):
        raise ValueError("must not contain control characters")
    return text


def _one_line(text: str) -> str:
    if set(text) & set("\n\t"):
        raise ValueError("must be one line")
    return text


def _visible(text: str) -> str:
    if not has_visible_character(_printable(text)):
        raise ValueError("must have a visible character")
    if overrides_text_direction(text):
        raise ValueError("must not contain characters that override the text direction (U+202A-202E, U+2066-2069)")
    return text.strip()


_AMOUNT = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,2})?$", "examples": ["19.99"]}
_AMOUNT_OUT = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2}$", "examples": ["19.99"]}

MoneyIn = Annotated[
    int,
    BeforeValidator(_parse_money),
    WithJsonSchema({"anyOf": [_AMOUNT, {"type": "number", "minimum": 0, "maximum": 999999999.99}]}),
]
MoneyQuery = Annotated[int, BeforeValidator(_parse_money), WithJsonSchema(_AMOUNT)]
MoneyOut = Annotated[int, PlainSerializer(format_money, return_type=str), WithJsonSchema(_AMOUNT_OUT)]
Timestamp = Annotated[
    datetime, PlainSerializer(format_time, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
TimestampIn = Annotated[
    datetime, BeforeValidator(_parse_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(_check_web_address)]
ONE_LINE = AfterValidator(_one_line)
PRINTABLE = AfterValidator(_printable)
VISIBLE = AfterValidator(_visible)  # printable, and stripped of surrounding blanks
Text = Annotated[str, PRINTABLE]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.-]+$")]
