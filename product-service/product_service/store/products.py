"""Products and their stock in MongoDB."""

from datetime import datetime
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import ASCENDING, DESCENDING, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from product_service.model import MAX_STOCK, Category, Product, ProductFilter, SkuTaken, StockChange
from product_service.store.transactions import Transactions
from product_service.store.words import KEYS_VERSION, prefixes_of, sku_key, sort_key, words_of

_SORTS: dict[str, tuple[str, int, type]] = {
    "name": ("name_key", ASCENDING, str),
    "price": ("price", ASCENDING, int),
    "-price": ("price", DESCENDING, int),
    "newest": ("created_at", DESCENDING, datetime),
}

# It covers the counting of categories, and no order changes an entry of it. The category comes first, so that MongoDB
# considers this index only for queries by category: every query has `hidden`, those of orders as well.
CATEGORY_INDEX = {"category": ASCENDING, "hidden": ASCENDING}


@retry_and_translate
class ProductStore:
    """Products and their stock.

    A change with a `version` is a compare-and-set: it is made only if the product still has that version. Its
    `write_id` recognises a repeat, whose first run changed the version.
    """

    def __init__(self, database: Database[Document], clock: DatabaseClock, transactions: Transactions) -> None:
        self._products = database.products
        self._changes = database.stock_changes
        self._transactions = transactions
        self._clock = clock

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._products.find_one({"_id": ""})

    def find(self, product_id: str) -> Product | None:
        """Return a product that is for sale."""
        document = self._products.find_one({"_id": product_id})
        return _product(document) if document and not document["hidden"] else None

    def search(self, product_filter: ProductFilter, *, limit: int, cursor: str | None) -> Page[Product]:
        """Return a page of the products that are for sale (keyset paging)."""
        field, direction, kind = _SORTS[product_filter.sort]
        sort = [(field, direction, kind), ("_id", direction, str)]
        page = find_page(self._products, _conditions(product_filter), sort, limit=limit, cursor=cursor)
        return Page([_product(document) for document in page.items], page.next_cursor)

    def categories(self) -> list[Category]:
        """Return the categories of the products that are for sale, sorted by name."""
        pipeline: list[Document] = [
            {"$match": {"category": {"$gt": ""}, "hidden": False}},  # a text: not null, or missing
            {"$group": {"_id": "$category", "products": {"$sum": 1}}},
        ]
        found = self._products.aggregate(pipeline, hint=CATEGORY_INDEX)
        categories = [Category(document["_id"], document["products"]) for document in found]
        return sorted(categories, key=lambda category: (sort_key(category.name), category.name))

    def add(self, product_id: str, attributes: dict[str, Any]) -> None:
        """Insert a product, unless there is one with this id. Raises SkuTaken."""
        now = self._clock()
        document = {
            "_id": product_id,
            **_with_keys(attributes),
            "received": attributes["stock"],
            "hidden": False,
            "version": 1,
            "keys_version": KEYS_VERSION,
            "created_at": now,
            "updated_at": now,
        }
        try:
            self._products.insert_one(document)
        except DuplicateKeyError:
            if self._products.find_one({"_id": product_id}, {"_id": True}) is None:
                raise SkuTaken(attributes["sku"]) from None

    def change(self, product_id: str, attributes: dict[str, Any], version: int | None, write_id: str) -> bool:
        """Set attributes. The same write adds the change of the stock to `received`. Raises SkuTaken.

        Return False if there is no such product (in this version).
        """
        fields: Document = {name: {"$literal": value} for name, value in _with_keys(attributes).items()}
        if "stock" in attributes:
            fields["received"] = {"$add": ["$received", {"$subtract": [attributes["stock"], "$stock"]}]}
        if "sku" in attributes and not attributes["sku"]:
            fields["sku_key"] = "$$REMOVE"
        fields |= {"version": {"$add": ["$version", 1]}, "updated_at": self._clock(), "write_id": write_id}
        try:
            return self._update(product_id, [{"$set": fields}], version, write_id)
        except DuplicateKeyError:
            raise SkuTaken(attributes["sku"]) from None

    def archive(self, product_id: str, version: int | None, write_id: str) -> bool:
        """Hide a product and free its SKU. Return False if there is no such product (in this version)."""
        update = {
            "$set": {"hidden": True, "updated_at": self._clock(), "write_id": write_id},
            "$unset": {"sku_key": ""},
            "$inc": {"version": 1},
        }
        return self._update(product_id, update, version, write_id)

    def _update(self, product_id: str, update: Any, version: int | None, write_id: str) -> bool:
        # No findAndModify, although it returns the new state: for it, SecantusDB reads the whole collection.
        condition = {"_id": product_id, "hidden": False, "write_id": {"$ne": write_id}, **_in_version(version)}
        if self._products.update_one(condition, update).matched_count:
            return True
        return self._products.find_one({"_id": product_id, "write_id": write_id}, {"_id": True}) is not None

    def has_stock_change(self, key: str) -> bool:
        """Return whether a change of stock is recorded under this idempotency key."""
        return self._changes.find_one({"_id": key}, {"_id": True}) is not None

    def adjust_stock(self, product_id: str, change: int, key: str, version: int | None) -> StockChange | None:
        """Add units and record the change under `key`, in one transaction; for a known key return its record.

        Return None if the stock would leave its bounds, or there is no such product (in this version).
        """

        def adjust(session: ClientSession) -> StockChange | None:
            if recorded := self._changes.find_one({"_id": key}, session=session):
                return StockChange(recorded["product_id"], recorded["change"], repeated=True)
            bounds = {"$gte": max(0, -change), "$lte": MAX_STOCK - max(0, change)}
            condition = {"_id": product_id, "hidden": False, "stock": bounds, **_in_version(version)}
            increments = {"stock": change, "received": change, "version": 1}
            update = {"$inc": increments, "$set": {"updated_at": self._clock()}}
            if not self._products.update_one(condition, update, session=session).matched_count:
                return None
            record = {"_id": key, "product_id": product_id, "change": change, "created_at": self._clock()}
            self._changes.insert_one(record, session=session)
            return StockChange(product_id, change, repeated=False)

        try:
            return self._transactions.run(adjust, product_ids=[product_id])
        except DuplicateKeyError:  # another request has recorded the key between our read and our insert
            return self._transactions.run(adjust, product_ids=[product_id])


def _in_version(version: int | None) -> Document:
    return {} if version is None else {"version": version}


def _conditions(product_filter: ProductFilter) -> Document:
    conditions: Document = {"hidden": False}
    if product_filter.text is not None:
        words = words_of(product_filter.text)
        conditions["words"] = {"$all": words} if words else {"$in": []}  # a text without words finds nothing
    if product_filter.category is not None:
        conditions["category"] = product_filter.category
    if product_filter.ids is not None:
        conditions["_id"] = {"$in": list(product_filter.ids)}
    least_stock = 1 if product_filter.in_stock else None
    most_stock = 0 if product_filter.in_stock is False else product_filter.max_stock
    conditions |= _between("price", product_filter.min_price, product_filter.max_price)
    return conditions | _between("stock", least_stock, most_stock)


def _between(field: str, least: int | None, most: int | None) -> Document:
    """Return the condition that a field is not beyond its bounds; None is no bound."""
    bounds = {operator: value for operator, value in (("$gte", least), ("$lte", most)) if value is not None}
    return {field: bounds} if bounds else {}


def _with_keys(attributes: dict[str, Any]) -> Document:
    """Return attributes with their search keys. Without a SKU there is no `sku_key`: its index is sparse."""
    fields = dict(attributes)
    if "name" in attributes:
        fields |= {"name_key": sort_key(attributes["name"]), "words": prefixes_of(attributes["name"])}
    if attributes.get("sku"):
        fields["sku_key"] = sku_key(attributes["sku"])
    return fields


def search_keys(document: Document) -> Document:
    """Return the search keys of a stored product. A hidden product has no `sku_key`: its SKU is free."""
    fields = _with_keys({"name": document["name"], "sku": None if document["hidden"] else document.get("sku")})
    return {name: fields[name] for name in ("name_key", "words", "sku_key") if name in fields}


def _product(document: Document) -> Product:
    fields = {name: document.get(name) for name in Product.__dataclass_fields__ if name != "id"}
    return Product(id=document["_id"], **fields)  # type: ignore[arg-type]
