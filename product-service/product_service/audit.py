"""What product-service knows about its stock: `python -m product_service.audit`, see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from product_service.store import ReservationStore, Transactions


def main() -> None:
    """Print each product with its stock, what was received and what is held, and each reservation."""
    database = mongo.connect(DatabaseSettings.load().mongo_url, "product-audit", timeout=60)
    store = ReservationStore(database, mongo.DatabaseClock(database), Transactions(database))
    audit_export.write(store.audit_records())


if __name__ == "__main__":
    main()
