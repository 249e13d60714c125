"""Products and their stock in MongoDB."""

from datetime import datetime
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from chassis.mongo import ASCENDING, DESCENDING, DatabaseClock, Document, find_page, retry_and_translate
from chassis.paging import Page
from product_service.catalogue import MAX_STOCK, Product, ProductFilter, StockChange
from product_service.store.transactions import Transactions
from product_service.store.words import KEYS_VERSION, prefixes_of, sku_key, sort_key, words_of

_SORTS: dict[str, tuple[str, int, type]] = {
    "name": ("name_key", ASCENDING, str),
    "price": ("price", ASCENDING, int),
    "-price": ("price", DESCENDING, int),
    "newest": ("created_at", DESCENDING, datetime),
}


@retry_and_translate
class ProductStore:
    """Products and their stock."""

    def __init__(self, database: Database[Document], clock: DatabaseClock, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions
        self._products = database.products
        self._changes = database.stock_changes
        self._clock = clock

    def ping(self) -> None:
        """Return if the database answers and lets this service read."""
        self._products.find_one({"_id": ""})

    def find(self, product_id: str) -> Product | None:
        """Return a product that is for sale."""
        document = self._products.find_one({"_id": product_id})
        return _product(document) if document and not document["hidden"] else None

    def search(self, wanted: ProductFilter, *, limit: int, cursor: str | None) -> Page[Product]:
        """Return a page of the products that are for sale."""
        field, way, kind = _SORTS[wanted.sort]
        sort = [(field, way, kind), ("_id", way, str)]
        page = find_page(self._products, _conditions(wanted), sort, limit=limit, cursor=cursor)
        return Page([_product(document) for document in page.items], page.next_cursor)

    def add(self, product_id: str, attributes: dict[str, Any]) -> bool:
        """Insert a product; False if another one has its SKU. One that is there already is left as it is."""
        now = self._clock()
        document = {
            "_id": product_id,
            **_stored(attributes),
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
            return self._products.find_one({"_id": product_id}, {"_id": True}) is not None
        return True

    def change(self, product_id: str, attributes: dict[str, Any], version: int | None, write_id: str) -> bool | None:
        """Set attributes in one write; the difference to a new stock is booked in `received`.

        Return False if the product is not there (in that version), None if another one has the SKU.
        """
        new: Document = {field: {"$literal": value} for field, value in _stored(attributes).items()}
        if "stock" in attributes:
            new["received"] = {"$add": ["$received", {"$subtract": [attributes["stock"], "$stock"]}]}
        if "sku" in attributes and not attributes["sku"]:
            new["sku_key"] = "$$REMOVE"
        new |= {"version": {"$add": ["$version", 1]}, "updated_at": self._clock(), "write_id": write_id}
        wanted: Document = {"_id": product_id, "hidden": False, "write_id": {"$ne": write_id}}
        wanted |= _in_version(version)
        try:
            changed = self._products.update_one(wanted, [{"$set": new}]).matched_count > 0
        except DuplicateKeyError:
            return None
        return changed or self._was_written(product_id, write_id)

    def hide(self, product_id: str, version: int | None, write_id: str) -> bool:
        """Take a product out of the catalogue and free its SKU; False if it is not there (in that version)."""
        change = {
            "$set": {"hidden": True, "updated_at": self._clock(), "write_id": write_id},
            "$unset": {"sku_key": ""},
            "$inc": {"version": 1},
        }
        wanted = {"_id": product_id, "hidden": False, **_in_version(version)}
        hidden = self._products.update_one(wanted, change).matched_count > 0
        return hidden or self._was_written(product_id, write_id)

    def _was_written(self, product_id: str, write_id: str) -> bool:
        """Tell whether this is the repeat of a write that had succeeded."""
        return self._products.find_one({"_id": product_id, "write_id": write_id}, {"_id": True}) is not None

    def knows_change(self, key: str) -> bool:
        """Return whether a change of stock is recorded under a key."""
        return self._changes.find_one({"_id": key}, {"_id": True}) is not None

    def adjust_stock(self, product_id: str, change: int, key: str, version: int | None = None) -> StockChange | None:
        """Add units and record it under `key` in one transaction; a key seen before returns what it had recorded.

        Return None if the stock would leave its bounds, or the product is not there (in that version).
        """

        def adjust(session: ClientSession) -> StockChange | None:
            if recorded := self._changes.find_one({"_id": key}, session=session):
                return StockChange(recorded["product_id"], recorded["change"], repeated=True)
            bounds = {"$gte": max(0, -change), "$lte": MAX_STOCK - max(0, change)}
            wanted = {"_id": product_id, "hidden": False, "stock": bounds, **_in_version(version)}
            increments = {"stock": change, "received": change, "version": 1}
            booked = {"$inc": increments, "$set": {"updated_at": self._clock()}}
            if not self._products.update_one(wanted, booked, session=session).matched_count:
                return None
            record = {"_id": key, "product_id": product_id, "change": change, "created_at": self._clock()}
            self._changes.insert_one(record, session=session)
            return StockChange(product_id, change, repeated=False)

        try:
            return self._transactions.run(adjust, touching=[product_id])
        except DuplicateKeyError:  # recorded between our look and our insert
            return self._transactions.run(adjust, touching=[product_id])


def _in_version(version: int | None) -> Document:
    return {} if version is None else {"version": version}


def _conditions(wanted: ProductFilter) -> Document:
    conditions: Document = {"hidden": False}
    if wanted.words is not None:
        words = words_of(wanted.words)
        conditions["words"] = {"$all": words} if words else {"$in": []}  # without a word nothing is found
    if wanted.category is not None:
        conditions["category"] = wanted.category
    price = {"$gte": wanted.min_price, "$lte": wanted.max_price}
    if bounds := {operator: value for operator, value in price.items() if value is not None}:
        conditions["price"] = bounds
    if wanted.in_stock is not None:
        conditions["stock"] = {"$gt": 0} if wanted.in_stock else 0
    return conditions


def _stored(attributes: dict[str, Any]) -> Document:
    """Return the fields of a document; one without a SKU has no key of it, as the index is sparse."""
    document = dict(attributes)
    if "name" in attributes:
        document |= {"name_key": sort_key(attributes["name"]), "words": prefixes_of(attributes["name"])}
    if attributes.get("sku"):
        document["sku_key"] = sku_key(attributes["sku"])
    return document


def _product(document: Document) -> Product:
    fields = {name: document.get(name) for name in Product.__dataclass_fields__ if name != "id"}
    return Product(id=document["_id"], **fields)  # type: ignore[arg-type]


def keys_of(document: Document) -> Document:
    """Return the keys of a stored product; a hidden one has given its SKU up."""
    sku = None if document["hidden"] else document.get("sku")
    stored = _stored({"name": document["name"], "sku": sku})
    return {name: stored[name] for name in ("name_key", "words", "sku_key") if name in stored}
