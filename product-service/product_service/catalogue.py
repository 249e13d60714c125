"""The catalogue: what can be bought, at which price, and how much of it is there."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chassis.errors import Conflict, Invalid, NotFound, PreconditionFailed
from chassis.paging import Page

if TYPE_CHECKING:
    from product_service.store import ProductStore

MAX_STOCK = 10**9
CHANGED = "The product has changed since you read it. Read it again before you repeat the request."


@dataclass(frozen=True)
class Product:
    """A product; `price` is in minor units of `currency`, `stock` what can be bought now.

    `received` counts the units ever put in: at any moment stock + units reserved = received.
    `version` grows with every change, those of the stock included.
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

    words: str | None = None
    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    in_stock: bool | None = None
    sort: str = "name"


class SkuTaken(Conflict):
    """Another product has this SKU."""

    code, title = "sku-taken", "SKU Taken"


class StockTooLow(Conflict):
    """The stock would fall below zero."""

    code, title = "insufficient-stock", "Insufficient Stock"


class Catalogue:
    """The use cases around products."""

    def __init__(self, products: "ProductStore", currency: str) -> None:
        self._products = products
        self._currency = currency

    def search(self, wanted: ProductFilter, *, limit: int, cursor: str | None) -> Page[Product]:
        """Return a page of products. Raises Invalid for a cursor of another list."""
        return self._products.search(wanted, limit=limit, cursor=cursor)

    def get(self, product_id: str) -> Product:
        """Return a product as it is now. Raises NotFound."""
        product = self._products.find(product_id)
        if product is None:
            raise NotFound(f"There is no product {product_id!r}.")
        return product

    def add(self, attributes: dict[str, Any], product_id: str | None = None) -> Product:
        """Add a product. Raises SkuTaken."""
        product_id = product_id or uuid.uuid4().hex
        if not self._products.add(product_id, {**attributes, "currency": self._currency}):
            raise SkuTaken(f"Another product has the SKU {attributes['sku']!r}.")
        return self.get(product_id)

    def change(self, product_id: str, attributes: dict[str, Any], expected: Product | None = None) -> Product:
        """Change some attributes; `stock` is a stock-take. Raises NotFound, SkuTaken and, with `expected`,
        PreconditionFailed if the product is no longer in that state.
        """
        changed = self._products.change(
            product_id, attributes, expected.version if expected else None, uuid.uuid4().hex
        )
        product = self.get(product_id)
        if changed is None:
            raise SkuTaken(f"Another product has the SKU {attributes['sku']!r}.")
        if not changed:
            raise PreconditionFailed(CHANGED)
        return product

    def remove(self, product_id: str, expected: Product | None = None) -> None:
        """Hide a product: it can no longer be found or bought. Raises NotFound and, with `expected`, PreconditionFailed
        if the product is no longer in that state.
        """
        if not self._products.hide(product_id, expected.version if expected else None, uuid.uuid4().hex):
            self.get(product_id)
            raise PreconditionFailed(CHANGED)

    def adjust_stock(
        self, product_id: str, change: int, key: str | None, expect: Callable[[], Product | None] = lambda: None
    ) -> tuple[Product, bool]:
        """Add `change` units, below zero to take some out; return as well whether `key` had done so before.

        `expect` returns the state that the product must be in, None if any will do. Raises what it raises, NotFound,
        PreconditionFailed, StockTooLow, and Invalid if the key was used for another change.
        """
        try:
            expected = expect()
        except PreconditionFailed:
            if key is None or not self._products.knows_change(key):
                raise
            expected = None  # a repeat: it was the first run that has changed the state
        version = expected.version if expected else None
        recorded = self._products.adjust_stock(product_id, change, key or uuid.uuid4().hex, version)
        product = self.get(product_id)
        if recorded is None and version not in (None, product.version):
            raise PreconditionFailed(CHANGED)
        if recorded is None:
            raise StockTooLow(f"The stock must stay between 0 and {MAX_STOCK}; it is {product.stock} now.")
        if (recorded.product_id, recorded.change) != (product_id, change):
            raise Invalid("This Idempotency-Key was used for another change.")
        return product, recorded.repeated

    def stock_up(self, goods: Iterable[dict[str, Any]]) -> None:
        """Add the demo products that were never there."""
        for number, attributes in enumerate(goods, 1):
            self._products.add(f"demo-{number}", {**attributes, "currency": self._currency})


@dataclass(frozen=True)
class StockChange:
    """A recorded change of stock; `repeated` if its key had been used before."""

    product_id: str
    change: int
    repeated: bool
