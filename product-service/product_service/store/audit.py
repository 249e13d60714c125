"""The records for an audit: products with their stock, and reservations with their units."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from pymongo.client_session import ClientSession
from pymongo.database import Database

from chassis.mongo import DatabaseClock, Document, retry_and_translate
from product_service.model import HELD
from product_service.store.reservation_documents import quantities


@retry_and_translate
class StockAudit:
    """The stock of all products, and the reservations that hold it."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._clock = DatabaseClock(database)

    def audit_records(self) -> list[Document]:
        """Return all products and reservations, as of one moment."""
        with self._database.client.start_session() as session:
            return session.with_transaction(self._read)

    def order_records(self, order_id: str) -> list[Document]:
        """Return the reservation of an order as it is stored, if there is one."""
        stored = self._database.reservations.find({"_id": order_id})
        return [{"kind": "reservation_document", **document} for document in stored]

    def _read(self, session: ClientSession) -> list[Document]:
        reservations = list(self._database.reservations.find({}, session=session))
        products = list(self._database.products.find({}, {"stock": True, "received": True}, session=session))
        return [*_products(products, reservations), *_reservations(reservations, self._clock())]


def _products(products: list[Document], reservations: list[Document]) -> Iterator[Document]:
    held: Counter[str] = Counter()
    for reservation in reservations:
        if reservation["state"] == HELD:
            held.update(quantities(reservation))
    for product in products:
        stock = {"stock": product["stock"], "received": product["received"], "held": held[product["_id"]]}
        yield {"kind": "product", "id": product["_id"], **stock}


def _reservations(reservations: list[Document], now: datetime) -> Iterator[Document]:
    for reservation in reservations:
        yield {
            "kind": "reservation",
            "order_id": reservation["_id"],
            "state": reservation["state"],
            "lines": sorted(map(list, quantities(reservation).items())),
            "age": (now - reservation["created_at"]).total_seconds(),
        }
