"""The requests and replies about products over HTTP, each with an example of the demo shop."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from chassis.schemas import (
    VISIBLE,
    BlankIsNone,
    Body,
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

_TIME = "2026-01-31T12:00:00.000Z"
_TEXTS = {"description": "Pump pressure of 15 bar, stainless steel.", "category": "kitchen", "sku": "ESPRESSO-15"}
_WRITTEN = {"name": "Espresso Machine", "price": "249.00", "stock": 25, **_TEXTS}
_PRODUCT = {"id": "demo-1", **_WRITTEN, "currency": "EUR", "created_at": _TIME, "updated_at": _TIME}

Name = Annotated[str, Field(min_length=1, max_length=200), VISIBLE]
Stock = Annotated[int, Field(ge=0, le=MAX_STOCK)]
Description = Annotated[str, Field(max_length=5000), VISIBLE]
Label = Annotated[str, Field(min_length=1, max_length=100), VISIBLE]
TextFilter = Annotated[str | None, BlankIsNone]


class ProductPath(Query):
    """The product in a path."""

    product_id: str = Field(json_schema_extra={"example": "demo-1"})


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
