"""The preparation of product-service's database: server features, collections, indexes, current keys."""

from contextlib import suppress

from pymongo.database import Database
from pymongo.errors import CollectionInvalid
from pymongo.operations import IndexModel

from chassis.config import ConfigurationError
from chassis.mongo import ASCENDING, Document, missing_feature, retry_and_translate
from chassis.mongo.rekeying import rekey
from product_service.store.products import CATEGORY_INDEX, search_keys
from product_service.store.words import KEYS_VERSION


@retry_and_translate
class Indexes:
    """The indexes of product-service: one for each way to list, with and without a filter."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def ensure_indexes(self) -> None:
        """Check the server, create what is missing, and bring products of an earlier version up to date."""
        if lack := missing_feature(self._database):
            raise ConfigurationError(f"MONGO_URL: the server {lack}")
        by_sort = [
            IndexModel([(name, ASCENDING) for name in (*prefix, field, "_id")])
            for prefix in ((), ("category",), ("words",))
            for field in ("name_key", "price", "created_at")
        ]
        # Created here, because two transactions that create it would collide. Another process may be faster.
        if "stock_changes" not in self._database.list_collection_names():
            with suppress(CollectionInvalid):
                self._database.create_collection("stock_changes")
        self._database.products.create_indexes(
            [*by_sort, IndexModel(CATEGORY_INDEX), IndexModel("sku_key", unique=True, sparse=True)]
        )
        self._database.reservations.create_indexes(
            [
                IndexModel([("created_at", ASCENDING), ("_id", ASCENDING)]),
                IndexModel("expires_at", expireAfterSeconds=0, sparse=True),
            ]
        )
        rekey(self._database.products, KEYS_VERSION, ("name", "sku", "hidden"), search_keys, unique="sku_key")
