"""The requests and replies about reservations over HTTP, each with an example of the demo shop."""

from pydantic import Field

from chassis.schemas import Body, Identifier, MoneyOut, PageQuery, Query, Reply, Timestamp, with_example

_ORDER_ID = "3f0c6c1e9b5d4a7f8e2d1c0b9a8f7e6d"
_TIME = "2026-01-31T12:00:00.000Z"
_LINE = {"product_id": "demo-1", "quantity": 2}
_PRICED_LINE = {**_LINE, "name": "Espresso Machine", "unit_price": "249.00"}
_RESERVATION = {"order_id": _ORDER_ID, "state": "held"}
_LISTED = {**_RESERVATION, "created_at": _TIME}
_CURSOR = "WyJjcmVhdGVkX2F0LF9pZCIsIDE3Njk4NjA4MDAwMDAsICIzZjBjNmMxZTliNWQ0YTdmOGUyZDFjMGI5YThmN2U2ZCJd"


class ReservationPath(Query):
    """The order in a path, whose id is the id of its reservation as well."""

    order_id: Identifier = Field(json_schema_extra={"example": _ORDER_ID})


class ReservationQuery(PageQuery):
    """Which reservations to list, by their age in seconds."""

    older_than: float = Field(0, ge=0, le=10**9, allow_inf_nan=False, json_schema_extra={"example": 15})


class LineBody(Body):
    """Some units of a product."""

    model_config = with_example(**_LINE)

    product_id: Identifier
    quantity: int = Field(ge=1, le=100_000)


class ReservationBody(Body):
    """The lines to reserve stock for."""

    model_config = with_example(lines=[_LINE])

    lines: list[LineBody] = Field(min_length=1, max_length=100)


class PricedLineReply(Reply):
    """A line with the name and unit price at which its stock was reserved."""

    model_config = with_example(**_PRICED_LINE)

    product_id: str
    name: str
    unit_price: MoneyOut
    quantity: int


class ReservationReply(Reply):
    """Stock that is held for an order."""

    model_config = with_example(**_RESERVATION, currency="EUR", lines=[_PRICED_LINE])

    order_id: str
    state: str
    currency: str
    lines: list[PricedLineReply]


class ReservationItem(Reply):
    """A reservation in a list. Its state is `held`, `refused` or `released`."""

    model_config = with_example(**_LISTED)

    order_id: str
    state: str
    created_at: Timestamp


class ReservationList(Reply):
    """A page of reservations. `next_cursor` is null only after an empty page: new reservations may follow."""

    model_config = with_example(items=[_LISTED], next_cursor=_CURSOR)

    items: list[ReservationItem]
    next_cursor: str | None
