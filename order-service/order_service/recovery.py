"""After a restore, bring orders, stock, events and payments together again: `python -m order_service.recovery`.

Each database may have been restored from another moment, and the broker's messages are lost. The command compares all
orders with product-service, with the history of notifications on standard input, and with the payment provider. It
repairs what is certain, and prints the rest as JSON lines: a person must decide. It changes no order,
except that one about which a person must decide does not expire meanwhile. Product-service
and user-service must run; order-service, its worker and the consumer must not. It is safe to repeat.
"""

import argparse
import json
import sys
from collections.abc import Mapping

from chassis import mongo
from chassis.auth.client_credentials import ClientCredentials
from chassis.errors import Unavailable
from chassis.misconfigurations import Misconfigurations
from order_service import config
from order_service.payment.factory import make_provider
from order_service.product_client import ProductClient
from order_service.reconciler import StockReleaser
from order_service.restored_orders import Recovery
from order_service.store import OrderStore, ReconciliationCursor, RecoveryStore
from order_service.timings import Timings
from order_service.told import InvalidHistory, Told, read_history


def main() -> None:
    """Recover, print what a person must decide, and sum up on standard error; exit code 1 if it must be repeated."""
    options = _parser().parse_args()
    settings = config.RecoverySettings.load()
    try:
        recovery = _recovery(settings, read_history(sys.stdin), record_only=options.record_only)
        decisions = recovery.run()
    except InvalidHistory as exc:
        raise SystemExit(str(exc)) from exc
    except Unavailable as exc:
        raise SystemExit(f"order_service.recovery must be repeated: {exc.detail}") from exc
    sys.stdout.write("".join(json.dumps(decision) + "\n" for decision in decisions))
    sys.stderr.write(
        "{compared} orders compared, {events} events put back into outboxes, {reserved} reservations made again, "
        "{decisions} matters for a person to decide\n".format_map({**recovery.counts, "decisions": len(decisions)})
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m order_service.recovery", description=__doc__)
    lacking = parser.add_mutually_exclusive_group()
    lacking.add_argument("--send", action="store_true", help="send the mails that the history lacks (the default)")
    lacking.add_argument("--record-only", action="store_true", help="complete the history, and send nothing")
    return parser


def _recovery(settings: config.RecoverySettings, told: Mapping[str, Told], *, record_only: bool) -> Recovery:
    database = mongo.connect(settings.mongo_url, "order-recovery", timeout=60)
    token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    products = ProductClient(settings.product_service_url, token, max_concurrent=1, pool="")
    clock = mongo.DatabaseClock(database)
    store = OrderStore(database, clock)
    store.ensure_indexes()
    return Recovery(
        orders=store,
        store=RecoveryStore(database, clock),
        cursor=ReconciliationCursor(database, clock),
        products=products,
        releaser=StockReleaser(store, products, Misconfigurations(), Timings(), batch=100),
        clock=clock,
        provider=make_provider(settings, database, clock),
        told=told,
        record_only=record_only,
    )


if __name__ == "__main__":
    main()
