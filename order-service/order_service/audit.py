"""The audit records of order-service: `python -m order_service.audit`; see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from order_service.store import OrderStore


def main() -> None:
    """Print each order with its status, its lines, and the work that is still due."""
    database = mongo.connect(DatabaseSettings.load().mongo_url, "order-audit", timeout=60)
    audit_export.write(OrderStore(database, mongo.DatabaseClock(database)).audit_records())


if __name__ == "__main__":
    main()
