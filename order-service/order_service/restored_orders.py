"""Orders after a restore, compared with product-service, the history of notifications and the payment provider."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from chassis.errors import Unavailable
from order_service import decisions, events
from order_service.decisions import BEHIND, LOST_NOTE, MONEY, Decision
from order_service.model import ALL_ORDERS, FAILED, NOT_HOLDING_STOCK, Order
from order_service.new_order import failed_order
from order_service.payment.model import CAPTURED, OPEN_PAYMENT, REFUND_DUE
from order_service.payment.provider import LedgerEntry, PaymentProvider
from order_service.product_client import ProductClient
from order_service.reconciler import StockReleaser
from order_service.recovered_events import event_times, with_lacking_events
from order_service.recovered_stock import reserve_again
from order_service.store import OrderStore, ReconciliationCursor, RecoveryStore
from order_service.told import Told

HELD, RELEASED, NO_RESERVATION = "held", "released", "none"
CHARGES = 1000  # of the payment provider's ledger, which are compared at a time
PATIENCE = 30.0  # s; after user-service has replaced its key, it may take some seconds until both agree on a token


@dataclass
class Recovery:
    """One run of the recovery, with what it has found so far."""

    orders: OrderStore
    store: RecoveryStore
    cursor: ReconciliationCursor
    products: ProductClient
    releaser: StockReleaser
    clock: Callable[[], datetime]
    provider: PaymentProvider | None
    told: Mapping[str, Told]
    record_only: bool
    patience: float = PATIENCE
    counts: Counter[str] = field(default_factory=Counter)
    without_stock: list[Order] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def run(self) -> list[Decision]:
        """Repair what is certain; return what a person must decide. Raises Unavailable: then repeat it."""
        self.cursor.reset()
        self._compare_orders(self._reservations())
        self._release()
        self.counts["reserved"], undecided = reserve_again(self.products, self.without_stock)
        self.decisions += undecided
        self._compare_payments()
        self.store.keep_from_expiry([each["order_id"] for each in self.decisions if each["decide"] in (BEHIND, MONEY)])
        lost = self.store.lost_orders()
        self.decisions += [decisions.order_lost(order, self.told.get(order.id)) for order in lost]
        return self.decisions

    def _reservations(self) -> dict[str, str]:
        """Return the state of each reservation, by the order's id."""
        states: dict[str, str] = {}
        cursor, is_first = None, True
        while is_first or cursor:
            page, cursor = self._page_of_reservations(cursor)
            states |= page
            is_first = False
        return states

    def _page_of_reservations(self, cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
        end = time.monotonic() + self.patience
        while True:
            try:
                return self.products.reservations(older_than=0, cursor=cursor)
            except Unavailable:
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def _compare_orders(self, reservations: Mapping[str, str]) -> None:
        lost = {*self.told, *(order_id for order_id, state in reservations.items() if state == HELD)}
        after = ""
        while page := self.store.page(after):
            after = page[-1].id
            for order in page:
                lost.discard(order.id)
                self._compare(order, reservations.get(order.id, NO_RESERVATION))
            self._complete_outboxes(page)
            self.counts["compared"] += len(page)
        for order_id in sorted(lost):
            self._note_lost(order_id)

    def _compare(self, order: Order, reservation: str) -> None:
        if order.status == FAILED and order.id in self.told:
            self._note_lost(order.id)
        if order.status not in NOT_HOLDING_STOCK:
            self._compare_living(order, reservation)
        elif reservation == HELD:
            self.orders.make_release_due(order.id)

    def _compare_living(self, order: Order, reservation: str) -> None:
        """Compare an order that holds stock. One that was cancelled since its backup must not take stock again."""
        ahead = self._told_ahead(order)
        if ahead or reservation == RELEASED:
            self.decisions.append(decisions.order_behind(order, ahead, reservation))
        if reservation not in (HELD, RELEASED) and events.ORDER_CANCELLED not in ahead:
            self.without_stock.append(order)

    def _told_ahead(self, order: Order) -> list[str]:
        """Return the events that the buyer was told and the order does not know. The worker settles open payments."""
        told = self.told.get(order.id)
        known = {*event_times(order)}
        if order.payment and order.payment.status in OPEN_PAYMENT:
            known.add(events.ORDER_PAID)
        return [event_type for event_type in told.event_types if event_type not in known] if told else []

    def _complete_outboxes(self, page: list[Order]) -> None:
        completed = [with_lacking_events(o, self.told.get(o.id), record_only=self.record_only) for o in page]
        changed = [(new, old) for new, old in zip(completed, page, strict=True) if new.outbox != old.outbox]
        self.store.replace_outboxes([new for new, _ in changed])
        self.counts["events"] += sum(len(new.outbox) - len(old.outbox) for new, old in changed)

    def _note_lost(self, order_id: str) -> None:
        """Write the failed order of a lost order, or a note on it if the reconciliation has written it before."""
        if not self.orders.create(replace(failed_order(order_id, self.clock()), note=LOST_NOTE)):
            self.store.note_lost(order_id, LOST_NOTE)

    def _release(self) -> None:
        """Release the stock that is due, as long as that succeeds. The worker repeats what fails."""
        waiting, _ = self.orders.waiting_releases()
        while waiting and self.orders.due_releases(ALL_ORDERS, 1):
            self.releaser.release_due(ALL_ORDERS)
            before, (waiting, _) = waiting, self.orders.waiting_releases()
            if waiting == before:
                return

    def _compare_payments(self) -> None:
        entries = self.provider.ledger() if self.provider else iter(())
        while batch := list(islice(entries, CHARGES)):
            orders = self.orders.find_many([entry.order_id for entry in batch])
            for entry in batch:
                if entry.reference:
                    self.store.save_reference(entry.order_id, entry.attempt, entry.reference)
                if _is_astray(entry, order := orders.get(entry.order_id)):
                    self.decisions.append(decisions.money_astray(entry, order))


def _is_astray(entry: LedgerEntry, order: Order | None) -> bool:
    """Return whether money was kept or given back of which the order does not know. The worker settles what is open."""
    payment = order.payment if order else None
    status = payment.status if payment and payment.attempt == entry.attempt else None
    kept = entry.amount - sum(entry.refunds)
    return kept != (entry.amount if status == CAPTURED else 0) and status not in (*OPEN_PAYMENT, REFUND_DUE)
