"""The requests and replies of product-service over HTTP, each with an example of the demo shop."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from chassis.schemas import (
    VISIBLE,
    BlankIsNone,
    Body,
    Identifier,
    MoneyIn,
    MoneyOut,
    MoneyQuery,
    PageQuery,
    Query,
    Reply,
    Timestamp,
    with_example,
)
from product_service.model import MAX_STOCK

_ORDER_ID = "3f0c6c1e9b5d4a7f8e2d1c0b9a8f7e6d"
_TIME = "2026-01-31T12:00:00.000Z"
_TEXTS = {"description": "Pump pressure of 15 bar, stainless steel.", "category": "kitchen", "sku": "ESPRESSO-15"}
_WRITTEN = {"name": "Espresso Machine", "price": "249.00", "stock": 25, **_TEXTS}
_PRODUCT = {"id": "demo-1", **_WRITTEN, "currency": "EUR", "created_at": _TIME, "updated_at": _TIME}
_LINE = {"product_id": "demo-1", "quantity": 2}
_PRICED_LINE = {**_LINE, "name": "Espresso Machine", "unit_price": "249.00"}
_RESERVATION = {"order_id": _ORDER_ID, "state": "held"}
_LISTED = {**_RESERVATION, "created_at": _TIME}
_CURSOR = "WyJjcmVhdGVkX2F0LF9pZCIsIDE3Njk4NjA4MDAwMDAsICIzZjBjNmMxZTliNWQ0YTdmOGUyZDFjMGI5YThmN2U2ZCJd"

Name = Annotated[str, Field(min_length=1, max_length=200), VISIBLE]
Stock = Annotated[int, Field(ge=0, le=MAX_STOCK)]
Description = Annotated[str, Field(max_length=5000), VISIBLE]
Label = Annotated[str, Field(min_length=1, max_length=100), VISIBLE]
TextFilter = Annotated[str | None, BlankIsNone]


class ProductPath(Query):
    """The product in a path."""

    product_id: str = Field(json_schema_extra={"example": "demo-1"})


class ReservationPath(Query):
    """The order in a path, whose id is the id of its reservation as well."""

    order_id: Identifier = Field(json_schema_extra={"example": _ORDER_ID})


class ProductBody(Body):
    """A product as an administrator writes it."""

    model_config = with_example(**_WRITTEN)

    name: Name
    price: MoneyIn
    stock: Stock
    description: Description | None = None
    category: Label | None = None
    sku: Label | None = None


class ProductPatch(Body):
    """The attributes to change; null clears an optional one. A field that is left out is not changed."""

    model_config = with_example(price="229.00", stock=40)

    # No default of this model is ever used.
    name: Name = Field(default_factory=str)
    price: MoneyIn = Field(default_factory=int)
    stock: Stock = Field(default_factory=int)
    description: Description | None = None
    category: Label | None = None
    sku: Label | None = None


class StockChangeBody(Body):
    """Units to add; a negative number removes units."""

    model_config = with_example(change=-3)

    change: int = Field(ge=-MAX_STOCK, le=MAX_STOCK)

    @field_validator("change")
    @classmethod
    def _not_zero(cls, change: int) -> int:
        if change == 0:
            raise ValueError("must not be 0")
        return change


class ProductQuery(PageQuery):
    """Which products to list. An empty `q` or `category` is no filter."""

    q: TextFilter = Field(None, max_length=200, json_schema_extra={"example": "coffee"})
    category: TextFilter = Field(None, max_length=100, json_schema_extra={"example": "kitchen"})
    min_price: MoneyQuery | None = Field(None, json_schema_extra={"example": "10.00"})
    max_price: MoneyQuery | None = Field(None, json_schema_extra={"example": "100.00"})
    in_stock: bool | None = Field(None, json_schema_extra={"example": True})
    sort: Literal["name", "price", "-price", "newest"] = "name"


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


class ProductReply(Reply):
    """A product. `stock` is what can be bought now."""

    model_config = with_example(**_PRODUCT)

    id: str
    name: str
    price: MoneyOut
    currency: str
    stock: int
    description: str | None
    category: str | None
    sku: str | None
    created_at: Timestamp
    updated_at: Timestamp


class ProductList(Reply):
    """A page of products."""

    model_config = with_example(items=[_PRODUCT], next_cursor=None)

    items: list[ProductReply]
    next_cursor: str | None


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
