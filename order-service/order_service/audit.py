"""The audit records of order-service: `python -m order_service.audit`; see `chassis.audit_export`."""

from chassis import audit_export, mongo
from order_service.config import PaymentSettings
from order_service.payment.factory import make_provider
from order_service.store import OrderStore
from order_service.store.audit_records import charge_record


def main() -> None:
    """Print each order with its status, its payment and the work that is still due, then the provider's ledger.

    With `--order ID` print the whole document of one order.
    """
    settings, order_id = PaymentSettings.load(), audit_export.order_option()
    database = mongo.connect(settings.mongo_url, "order-audit", timeout=60)
    clock = mongo.DatabaseClock(database)
    store = OrderStore(database, clock)
    if order_id is not None:
        audit_export.write(store.order_records(order_id))
        return
    audit_export.write(store.audit_records())
    audit_export.write([{"kind": "ledger", "provider": settings.payment_provider}])
    if provider := make_provider(settings, database, clock):
        audit_export.write(charge_record(entry, clock()) for entry in provider.ledger())


if __name__ == "__main__":
    main()
