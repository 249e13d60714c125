"""The replies of order-service."""

from chassis.schemas import MoneyOut, Reply, Timestamp, with_example
from order_service.examples import ITEM, LINE, ORDER


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


class BuyerReply(Reply):
    """Who ordered, with the contact data of that moment."""

    id: str
    email: str | None
    phone: str | None


class AddressReply(Reply):
    """Where the order is shipped."""

    name: str
    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str | None
    country: str


class TrackingReply(Reply):
    """How to follow the parcel."""

    carrier: str | None
    number: str | None
    url: str | None


class PaymentReply(Reply):
    """The latest attempt to pay: `started`, `unknown`, `declined`, `paid`, `refund_due` or `refunded`."""

    status: str
    method: str
    amount: MoneyOut
    paid_at: Timestamp | None
    refunded_at: Timestamp | None


class RefusedLineReply(Reply):
    """A product of which there is too little."""

    product_id: str
    requested: int
    available: int


class RefusalReply(Reply):
    """Why an order was rejected: the problem that the buyer got."""

    type: str
    title: str
    detail: str
    lines: list[RefusedLineReply]


class HistoryReply(Reply):
    """A status that the order got; `by` is `customer`, `admin` or `system`."""

    status: str
    at: Timestamp
    by: str


class OrderReply(Reply):
    """An order. A rejected one has a refusal, and no lines, total and currency."""

    model_config = with_example(**ORDER)
    id: str
    status: str
    buyer: BuyerReply | None
    items: list[ItemReply]
    lines: list[LineReply]
    total: MoneyOut | None
    currency: str | None
    shipping_address: AddressReply | None
    note: str | None
    tracking: TrackingReply | None
    payment: PaymentReply | None
    refusal: RefusalReply | None
    history: list[HistoryReply]
    created_at: Timestamp
    updated_at: Timestamp


class OrderList(Reply):
    """A page of orders."""

    model_config = with_example(items=[ORDER], next_cursor=None)
    items: list[OrderReply]
    next_cursor: str | None
