"""The request bodies, queries and replies of order-service. The examples are for Swagger UI and use the demo data."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from chassis.schemas import Body, Identifier, MoneyOut, PageQuery, Query, Reply, Timestamp, with_example

MAX_QUANTITY = 1000

ORDER_ID = "b65d1f6e3a0c4c0f9d2e7a8154c3f0ab"
ITEM = {"product_id": "demo-2", "quantity": 2}  # the Coffee Grinder of the demo data, whose id never changes
LINE = ITEM | {"name": "Coffee Grinder", "unit_price": "89.50"}
ORDER: dict[str, Any] = {
    "id": ORDER_ID,
    "status": "confirmed",
    "items": [ITEM],
    "lines": [LINE],
    "total": "179.00",
    "currency": "EUR",
    "created_at": "2026-01-31T12:00:00.000Z",
    "updated_at": "2026-01-31T12:00:00.000Z",
}

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


class OrderPath(Query):
    """The order in a path."""

    order_id: str = Field(json_schema_extra={"example": ORDER_ID})


class ItemBody(Body):
    """Some units of a product."""

    model_config = with_example(**ITEM)
    product_id: Identifier
    quantity: Quantity


class OrderBody(Body):
    """Either `items`, or `product_id` and `quantity` of a single product. The same product twice is summed."""

    model_config = with_example(items=[ITEM])
    items: list[ItemBody] | None = Field(None, min_length=1, max_length=100)
    product_id: Identifier | None = None
    quantity: Quantity | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "OrderBody":
        single = (self.product_id is not None, self.quantity is not None)
        if (self.items is not None and any(single)) or (self.items is None and not all(single)):
            raise ValueError("give either items, or product_id and quantity")
        for product_id in {item.product_id for item in self.items or ()}:
            if sum(i.quantity for i in self.items or () if i.product_id == product_id) > MAX_QUANTITY:
                raise ValueError(f"more than {MAX_QUANTITY} units of product {product_id!r}")
        return self

    def all_items(self) -> list[ItemBody]:
        """Return the items of either form."""
        return self.items or [ItemBody(product_id=self.product_id or "", quantity=self.quantity or 0)]


class OrderQuery(PageQuery):
    """Which orders to list."""

    status: Literal["confirmed", "shipped", "delivered", "rejected", "failed", "cancelled"] | None = Field(
        None,
        description="Only orders with this status. Only administrators see `failed` ones.",
        json_schema_extra={"example": "confirmed"},
    )
    user_id: str | None = Field(
        None,
        max_length=64,
        description="Only orders of this user, for example `7c9e6679f4a24f0e9c1d2b3a4f5e6d7c`; for administrators.",
    )  # no `example`: Swagger UI would fill it in, and a customer would get 403


class ItemReply(Reply):
    """Some units of a product, as requested."""

    model_config = with_example(**ITEM)
    product_id: str
    quantity: int


class LineReply(Reply):
    """Some units of a product at the price that holds for this order."""

    model_config = with_example(**LINE)
    product_id: str
    name: str
    unit_price: MoneyOut
    quantity: int


class OrderReply(Reply):
    """An order. A rejected one has no lines, total and currency."""

    model_config = with_example(**ORDER)
    id: str
    status: str
    items: list[ItemReply]
    lines: list[LineReply]
    total: MoneyOut | None
    currency: str | None
    created_at: Timestamp
    updated_at: Timestamp


class OrderList(Reply):
    """A page of orders."""

    model_config = with_example(items=[ORDER], next_cursor=None)
    items: list[OrderReply]
    next_cursor: str | None
