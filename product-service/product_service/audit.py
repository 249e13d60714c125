"""The records of product-service: `python -m product_service.audit [--order ID]`, see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from product_service.store import StockAudit


def main() -> None:
    """Print each product with its stock, received and held units, and each reservation; or the one of an order."""
    order_id = audit_export.order_option()
    audit = StockAudit(mongo.connect(DatabaseSettings.load().mongo_url, "product-audit", timeout=60))
    audit_export.write(audit.audit_records() if order_id is None else audit.order_records(order_id))


if __name__ == "__main__":
    main()
