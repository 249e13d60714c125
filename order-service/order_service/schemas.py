"""The request bodies and queries of order-service."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from chassis.schemas import (
    ONE_LINE,
    VISIBLE,
    BlankIsNone,
    Body,
    Identifier,
    PageQuery,
    Query,
    TimestampIn,
    WebAddress,
    with_example,
)
from order_service.countries import COUNTRIES
from order_service.examples import ADDRESS, ITEM, ORDER_ID, SHIPMENT
from order_service.model import Address, Tracking

MAX_QUANTITY = 1000

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
AddressLine = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE, VISIBLE]
OptionalLine = Annotated[AddressLine | None, BlankIsNone]
Note = Annotated[Annotated[str, Field(max_length=1000), VISIBLE] | None, BlankIsNone]
Label = Annotated[Annotated[str, Field(max_length=100), ONE_LINE, VISIBLE] | None, BlankIsNone]


def _check_country(code: str) -> str:
    if code not in COUNTRIES:
        raise ValueError("must be the ISO 3166-1 alpha-2 code of a country, in capital letters, for example DE")
    return code


class OrderPath(Query):
    """The order in a path."""

    order_id: str = Field(json_schema_extra={"example": ORDER_ID})


class ItemBody(Body):
    """Some units of a product."""

    model_config = with_example(**ITEM)
    product_id: Identifier
    quantity: Quantity


class AddressBody(Body):
    """Where to ship an order."""

    model_config = with_example(**ADDRESS)
    name: AddressLine
    line1: AddressLine
    line2: OptionalLine = None
    city: AddressLine
    region: OptionalLine = None
    postal_code: OptionalLine = None
    country: Annotated[str, AfterValidator(_check_country)]


class OrderBody(Body):
    """Either `items`, or `product_id` and `quantity` of a single product. The same product twice is summed."""

    model_config = with_example(items=[ITEM], shipping_address=ADDRESS, note="Please ring twice.")
    items: list[ItemBody] | None = Field(None, min_length=1, max_length=100)
    product_id: Identifier | None = None
    quantity: Quantity | None = None
    shipping_address: AddressBody | None = None
    note: Note = None

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

    def address(self) -> Address | None:
        """Return where to ship the order, None if nothing is said."""
        return Address(**vars(self.shipping_address)) if self.shipping_address else None


class PaymentBody(Body):
    """How to pay: the provider's token for a means of payment, never a card number."""

    model_config = with_example(payment_method="pm_card_ok")
    payment_method: Annotated[str, Field(max_length=100, pattern=r"^pm_[0-9A-Za-z_]+$")]


class ShipmentBody(Body):
    """How to follow the parcel. The body may be left out."""

    model_config = with_example(**SHIPMENT)
    carrier: Label = None
    tracking_number: Label = None
    tracking_url: Annotated[WebAddress | None, BlankIsNone] = None

    @model_validator(mode="before")
    @classmethod
    def _no_body(cls, value: Any) -> Any:
        return {} if value is None else value

    def tracking(self) -> Tracking | None:
        """Return the value of the core, None if nothing is known."""
        tracking = Tracking(self.carrier, self.tracking_number, self.tracking_url)
        return tracking if tracking != Tracking() else None


class OrderQuery(PageQuery):
    """Which orders to list."""

    status: Literal["confirmed", "paid", "shipped", "delivered", "rejected", "failed", "cancelled"] | None = Field(
        None,
        description="Only orders with this status. Only administrators see `failed` ones.",
        json_schema_extra={"example": "paid"},
    )
    created_after: TimestampIn | None = Field(None, description="Only orders placed at this time or later.")
    created_before: TimestampIn | None = Field(None, description="Only orders placed before this time.")
    user_id: str | None = Field(
        None,
        max_length=64,
        description="Only orders of this user, for example `7c9e6679f4a24f0e9c1d2b3a4f5e6d7c`; for administrators.",
    )  # no `example`: Swagger UI would fill it in, and a customer would get 403
