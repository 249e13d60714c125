"""The requests and replies about products over HTTP, each with an example of the demo shop."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

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
    WholeNumber,
    with_example,
)
from chassis.urls import has_only_url_characters, split_url
from product_service.model import MAX_STOCK, ProductFilter

MAX_IDS = 100  # products in `ids`; a cart has at most as many lines
MAX_IDS_LENGTH = 4000  # characters; servers and proxies refuse URLs above 4 KiB

_TIME = "2026-01-31T12:00:00.000Z"
_TEXTS = {"description": "Pump pressure of 15 bar, stainless steel.", "category": "kitchen", "sku": "ESPRESSO-15"}
_IMAGE = {"image_url": "/pictures/espresso-machine.svg"}
_WRITTEN = {"name": "Espresso Machine", "price": "249.00", "stock": 25, **_TEXTS, **_IMAGE}
_PRODUCT = {"id": "demo-1", **_WRITTEN, "currency": "EUR", "created_at": _TIME, "updated_at": _TIME}
_CATEGORY = {"name": "kitchen", "products": 4}


def _check_image_url(url: str) -> str:
    parts = split_url(url, "https") if url.startswith("https://") else None
    is_path = url.startswith("/") and not url.startswith("//")  # two slashes would lead to another host
    if not (is_path or (parts and "@" not in parts.netloc)):
        raise ValueError("must be a URL that begins with https://, or a path that begins with one /")
    if not has_only_url_characters(url) or "'" in url:
        raise ValueError("must be printable ASCII without blanks, quotes and any of <>\\^`{|}")
    return url


def _split_ids(text: str) -> tuple[str, ...]:
    """Return the different ids in a text. Raises ValueError for too many."""
    if len(text) > MAX_IDS_LENGTH:
        raise ValueError(f"must have at most {MAX_IDS_LENGTH} characters")
    ids = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if len(ids) > MAX_IDS:
        raise ValueError(f"must name at most {MAX_IDS} products")
    return ids


Name = Annotated[str, Field(min_length=1, max_length=200), VISIBLE]
Stock = Annotated[int, Field(ge=0, le=MAX_STOCK)]
IMAGE_URL = "An https URL, or a path on the server of the page that shows it."
Description = Annotated[str, Field(max_length=5000), VISIBLE]
Label = Annotated[str, Field(min_length=1, max_length=100), VISIBLE]
ImageUrl = Annotated[str, Field(max_length=2000), AfterValidator(_check_image_url)]
TextFilter = Annotated[str | None, BlankIsNone]
Ids = Annotated[
    tuple[str, ...], BeforeValidator(_split_ids), WithJsonSchema({"type": "string", "maxLength": MAX_IDS_LENGTH})
]


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
    image_url: ImageUrl | None = Field(None, description=IMAGE_URL)


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
    image_url: ImageUrl | None = Field(None, description=IMAGE_URL)


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
    max_stock: WholeNumber | None = Field(
        None, ge=0, le=MAX_STOCK, description="At most so many units.", json_schema_extra={"example": 50}
    )
    ids: Ids | None = Field(
        None,
        description=f"Only these products, at most {MAX_IDS}, between commas. Without `limit`: all on one page.",
        json_schema_extra={"example": "demo-1,demo-2"},
    )
    sort: Literal["name", "price", "-price", "newest"] = "name"

    def criteria(self) -> ProductFilter:
        """Return the filters and the order."""
        bounds = (self.min_price, self.max_price, self.in_stock, self.max_stock)
        return ProductFilter(self.q, self.category, *bounds, self.ids, self.sort)

    @property
    def page_size(self) -> int:
        """Return the limit; without one, products that are named by their ids are on one page."""
        return MAX_IDS if self.ids is not None and "limit" not in self.model_fields_set else self.limit


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
    image_url: str | None = Field(description=IMAGE_URL)
    created_at: Timestamp
    updated_at: Timestamp


class ProductList(Reply):
    """A page of products."""

    model_config = with_example(items=[_PRODUCT], next_cursor=None)

    items: list[ProductReply]
    next_cursor: str | None


class CategoryReply(Reply):
    """A category, and how many products of it are for sale."""

    model_config = with_example(**_CATEGORY)

    name: str
    products: int


class CategoryList(Reply):
    """All categories."""

    model_config = with_example(items=[_CATEGORY])

    items: list[CategoryReply]
