"""The values of product-service, and the errors that its rules raise."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Conflict, Invalid

MAX_STOCK = 10**9  # many JSON clients read whole numbers exactly only up to 2**53
HELD, REFUSED, RELEASED = "held", "refused", "released"  # the states of a reservation


@dataclass(frozen=True)
class Product:
    """A product. `price` is in minor units of `currency`, `stock` counts the units that can be bought now.

    Invariant: stock + units held by reservations = `received`, the units ever put in.
    Every change raises `version`, a change of the stock as well.
    """

    id: str
    name: str
    price: int
    currency: str
    stock: int
    received: int
    description: str | None
    category: str | None
    sku: str | None
    image_url: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def etag(self) -> str:
        """Return the entity tag of this state of the product (RFC 9110, section 8.8.3), without quotes."""
        return str(self.version)


@dataclass(frozen=True)
class ProductFilter:
    """Which products to list, and in which order: `name`, `price`, `-price` or `newest`."""

    text: str | None = None
    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    in_stock: bool | None = None
    max_stock: int | None = None
    ids: tuple[str, ...] | None = None
    sort: str = "name"


@dataclass(frozen=True)
class Category:
    """A category, and how many products of it are for sale."""

    name: str
    products: int


@dataclass(frozen=True)
class StockChange:
    """A recorded change of a stock. It is `repeated` if its idempotency key was used before."""

    product_id: str
    change: int
    repeated: bool


@dataclass(frozen=True)
class Line:
    """Requested units of a product."""

    product_id: str
    quantity: int


@dataclass(frozen=True)
class PricedLine:
    """Reserved units of a product, with its name and price (minor units) at that moment."""

    product_id: str
    name: str
    unit_price: int
    quantity: int


@dataclass(frozen=True)
class Shortage:
    """A line that cannot be served. `available` is None for an unknown product."""

    product_id: str
    requested: int
    available: int | None


@dataclass(frozen=True)
class Reservation:
    """The record under an order's id: held stock, a refusal, or a tombstone of a release."""

    order_id: str
    state: str
    requested: tuple[Line, ...]
    lines: tuple[PricedLine, ...]
    currency: str | None
    shortages: tuple[Shortage, ...]
    created_at: datetime


class SkuTaken(Conflict):
    """Another product has this SKU. Choose another one."""

    code, title = "sku-taken", "SKU Taken"

    def __init__(self, sku: str) -> None:
        super().__init__(f"Another product has the SKU {sku!r}.")


class StockOutOfBounds(Conflict):
    """The stock would fall below 0 or exceed 1000000000. Nothing was changed."""

    code, title = "insufficient-stock", "Insufficient Stock"


class InsufficientStock(Conflict):
    """Less stock than requested, see `lines`. Nothing was reserved, and the refusal is final for this order id."""

    code, title = "insufficient-stock", "Insufficient Stock"

    def __init__(self, shortages: Iterable[Shortage]) -> None:
        lines = [vars(shortage) for shortage in shortages]
        super().__init__("Not enough stock of: " + ", ".join(line["product_id"] for line in lines) + ".", lines=lines)


class UnknownProduct(Invalid):
    """A product is not for sale, see `errors`. Nothing was reserved, and the refusal is final for this order id."""

    code, title = "unknown-product", "Unknown Product"

    def __init__(self, product_ids: list[str]) -> None:
        errors = [{"field": "product_id", "message": f"there is no product {p!r}"} for p in product_ids]
        super().__init__("Unknown product: " + ", ".join(product_ids) + ".", errors=errors)


class ReservationReleased(Conflict):
    """The reservation was released before. It cannot be made again."""

    code, title = "reservation-released", "Reservation Released"


class ReservationMismatch(Conflict):
    """The order id was used before, with other lines."""

    code, title = "reservation-differs", "Reservation Differs"
