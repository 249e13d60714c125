"""What product-service reads and writes over HTTP."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from chassis.schemas import (
    BlankIsNone,
    Body,
    Identifier,
    MoneyIn,
    MoneyOut,
    MoneyQuery,
    PageQuery,
    Query,
    Reply,
    Text,
    Timestamp,
    VisibleText,
)
from product_service.model import MAX_STOCK


class ProductPath(Query):
    """The product that a path names."""

    product_id: str


class ReservationPath(Query):
    """The order whose reservation a path names."""

    order_id: Identifier


class ProductBody(Body):
    """A product as an administrator writes it."""

    name: VisibleText = Field(min_length=1, max_length=200)
    price: MoneyIn
    stock: int = Field(ge=0, le=MAX_STOCK)
    description: VisibleText | None = Field(None, max_length=5000)
    category: VisibleText | None = Field(None, min_length=1, max_length=100)
    sku: VisibleText | None = Field(None, min_length=1, max_length=100)


class ProductPatch(Body):
    """The attributes of a product to change; null clears an optional one."""

    name: VisibleText = Field("", min_length=1, max_length=200)
    price: MoneyIn = 0
    stock: int = Field(0, ge=0, le=MAX_STOCK)
    description: VisibleText | None = Field(None, max_length=5000)
    category: VisibleText | None = Field(None, min_length=1, max_length=100)
    sku: VisibleText | None = Field(None, min_length=1, max_length=100)


class StockChangeBody(Body):
    """Units to add, below zero to take out."""

    change: int = Field(ge=-MAX_STOCK, le=MAX_STOCK)

    @field_validator("change")
    @classmethod
    def _not_zero(cls, change: int) -> int:
        if change == 0:
            raise ValueError("must not be 0")
        return change


class ProductQuery(PageQuery):
    """Which products to list; an empty `q` or `category` is none."""

    q: Annotated[Text | None, BlankIsNone] = Field(None, max_length=200)
    category: Annotated[Text | None, BlankIsNone] = Field(None, max_length=100)
    min_price: MoneyQuery | None = None
    max_price: MoneyQuery | None = None
    in_stock: bool | None = None
    sort: Literal["name", "price", "-price", "newest"] = "name"


class ReservationQuery(PageQuery):
    """Which reservations to list."""

    older_than: float = Field(0, ge=0, le=10**9, allow_inf_nan=False)


class LineBody(Body):
    """Some units of a product."""

    product_id: Identifier
    quantity: int = Field(ge=1, le=100_000)


class ReservationBody(Body):
    """The lines to take stock for."""

    lines: list[LineBody] = Field(min_length=1, max_length=100)


class ProductReply(Reply):
    """A product."""

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

    items: list[ProductReply]
    next_cursor: str | None


class PricedLineReply(Reply):
    """A line with the name and price at which its stock was taken."""

    product_id: str
    name: str
    unit_price: MoneyOut
    quantity: int


class ReservationReply(Reply):
    """Stock that is held for an order."""

    order_id: str
    state: str
    currency: str
    lines: list[PricedLineReply]


class ReservationItem(Reply):
    """A reservation in a list: `held`, `refused` or `released`."""

    order_id: str
    state: str
    created_at: Timestamp


class ReservationList(Reply):
    """A page of reservations."""

    items: list[ReservationItem]
    next_cursor: str | None
