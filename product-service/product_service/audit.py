"""The audit records of product-service: `python -m product_service.audit`, see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from product_service.store import StockAudit


def main() -> None:
    """Print each product with its stock, received and held units, and each reservation."""
    database = mongo.connect(DatabaseSettings.load().mongo_url, "product-audit", timeout=60)
    audit_export.write(StockAudit(database).audit_records())


if __name__ == "__main__":
    main()
