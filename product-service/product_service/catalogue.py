"""The catalogue: what can be bought, at which price, and how much of it is in stock."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chassis.errors import Invalid, NotFound, PreconditionFailed
from chassis.paging import Page
from product_service.model import MAX_STOCK, Category, Product, ProductFilter, SkuTaken, StockOutOfBounds

if TYPE_CHECKING:  # the core runs without pymongo
    from product_service.store import ProductStore

CHANGED = "The product has changed since you read it. Read it again before you repeat the request."


class Catalogue:
    """The use cases around products.

    Optimistic concurrency: a change with a `version` is made only if the product still has that version.
    """

    def __init__(self, products: "ProductStore", currency: str) -> None:
        self._products = products
        self._currency = currency

    def search(self, product_filter: ProductFilter, *, limit: int, cursor: str | None) -> Page[Product]:
        """Return a page of products. Raises Invalid for a cursor of another list."""
        return self._products.search(product_filter, limit=limit, cursor=cursor)

    def categories(self) -> list[Category]:
        """Return the categories of the products that are for sale, sorted by name."""
        return self._products.categories()

    def get(self, product_id: str) -> Product:
        """Return a product as it is now. Raises NotFound."""
        product = self._products.find(product_id)
        if product is None:
            raise NotFound(f"There is no product {product_id!r}.")
        return product

    def add(self, attributes: dict[str, Any], product_id: str | None = None) -> Product:
        """Add a product. Raises SkuTaken."""
        product_id = product_id or uuid.uuid4().hex
        self._products.add(product_id, {**attributes, "currency": self._currency})
        return self.get(product_id)

    def change(self, product_id: str, attributes: dict[str, Any], version: int | None = None) -> Product:
        """Change some attributes; `stock` is a stock-take. Raises NotFound, SkuTaken, PreconditionFailed."""
        changed = self._products.change(product_id, attributes, version, uuid.uuid4().hex)
        product = self.get(product_id)
        if not changed:
            raise PreconditionFailed(CHANGED)
        return product

    def archive(self, product_id: str, version: int | None = None) -> None:
        """Archive a product: it can no longer be found or bought. Raises NotFound, PreconditionFailed."""
        if not self._products.archive(product_id, version, uuid.uuid4().hex):
            self.get(product_id)
            raise PreconditionFailed(CHANGED)

    def adjust_stock(
        self, product_id: str, change: int, key: str | None, version: int | None = None
    ) -> tuple[Product, bool]:
        """Add `change` units, or remove some if it is negative. Return the product, and whether this is a repeat.

        A repeat is known by its idempotency key and changes nothing. Raises NotFound, PreconditionFailed,
        StockOutOfBounds, and Invalid if the key was used for another change.
        """
        recorded = self._products.adjust_stock(product_id, change, key or uuid.uuid4().hex, version)
        product = self.get(product_id)
        if recorded is None and version not in (None, product.version):
            raise PreconditionFailed(CHANGED)
        if recorded is None:
            raise StockOutOfBounds(f"The stock must stay between 0 and {MAX_STOCK}; it is {product.stock} now.")
        if (recorded.product_id, recorded.change) != (product_id, change):
            raise Invalid("This Idempotency-Key was used for another change.")
        return product, recorded.repeated

    def has_stock_change(self, key: str) -> bool:
        """Return whether a change of stock is recorded under this idempotency key."""
        return self._products.has_stock_change(key)

    def seed_demo(self, products: Mapping[str, dict[str, Any]]) -> None:
        """Add each demo product whose id was never used."""
        for product_id, attributes in products.items():
            with suppress(SkuTaken):  # a real product has the SKU by now: leave it alone
                self._products.add(product_id, {**attributes, "currency": self._currency})
