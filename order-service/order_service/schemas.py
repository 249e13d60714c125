"""What order-service reads and writes over HTTP."""

from typing import Literal

from pydantic import Field, model_validator

from chassis.schemas import Body, Identifier, MoneyOut, PageQuery, Query, Reply, Timestamp

MAX_QUANTITY = 1000


class OrderPath(Query):
    """The order that a path names."""

    order_id: str


class ItemBody(Body):
    """Some units of a product."""

    product_id: Identifier
    quantity: int = Field(ge=1, le=MAX_QUANTITY)


class OrderBody(Body):
    """Either `items`, or `product_id` and `quantity` of a single one. The same product twice is summed."""

    items: list[ItemBody] | None = Field(None, min_length=1, max_length=100)
    product_id: Identifier | None = None
    quantity: int | None = Field(None, ge=1, le=MAX_QUANTITY)

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
    """Which orders to list; `user_id` is for administrators."""

    status: Literal["confirmed", "shipped", "delivered", "rejected", "failed", "cancelled"] | None = None
    user_id: str | None = Field(None, max_length=64)


class ItemReply(Reply):
    """Some units of a product, as asked for."""

    product_id: str
    quantity: int


class LineReply(Reply):
    """Some units of a product at the price that holds for this order."""

    product_id: str
    name: str
    unit_price: MoneyOut
    quantity: int


class OrderReply(Reply):
    """An order; lines, total and currency are there unless it is rejected."""

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

    items: list[OrderReply]
    next_cursor: str | None
