"""The use cases of orders. An order's document is its log: first the state is written, then the effects follow."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, NotFound, Unavailable
from chassis.paging import Page
from order_service import events
from order_service.model import (
    ADMIN,
    CANCELLED,
    CONFIRMED,
    CUSTOMER,
    DELIVERED,
    PAID,
    SHIPPED,
    Order,
    OrderFilter,
    OrderRequest,
    Tracking,
)
from order_service.payment.model import OPEN_PAYMENT, PaymentTerms
from order_service.placing import Placement
from order_service.transition import Transition

if TYPE_CHECKING:
    from order_service.product_client import ProductClient
    from order_service.store import OrderStore

MAX_RACES = 5  # an order has fewer statuses to move through than this
EVENT_TYPES = {
    CANCELLED: events.ORDER_CANCELLED,
    SHIPPED: events.ORDER_SHIPPED,
    DELIVERED: events.ORDER_DELIVERED,
}


class WrongState(Conflict):
    """The order's status does not allow this."""

    code, title = "wrong-state", "Wrong State"


class PaymentRequired(Conflict):
    """The order must be paid before it is shipped."""

    code, title = "payment-required", "Payment Required"


@dataclass(frozen=True)
class Orders:
    """Places orders, reads them, and moves them from status to status."""

    store: "OrderStore"
    products: "ProductClient"
    clock: Callable[[], datetime]
    terms: PaymentTerms = PaymentTerms()

    def place(self, request: OrderRequest) -> tuple[Order, bool]:
        """Place an order; return it, and whether it answers an earlier request with the same key.

        Raises InsufficientStock, UnknownProduct, OrderFailed, KeyReused, Unavailable.
        """
        if self.store.has_failed:
            self.store.ping()
        return Placement(self.store, self.products, self.clock, self.terms, request).run()

    def get(self, order_id: str, owner: str | None) -> Order:
        """Return an order, if it belongs to `owner` or `owner` is None. Raises NotFound."""
        order = self.store.find(order_id)
        if order is None or owner not in (None, order.buyer and order.buyer.id):
            raise NotFound(f"There is no order {order_id!r}.")
        return order

    def list_orders(self, wanted: OrderFilter, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first.

        Failed orders are the platform's own notes: only a filter by status lists them, and never for an owner.
        """
        return self.store.list_orders(wanted, limit=limit, cursor=cursor)

    def cancel(self, order_id: str, owner: str | None, caller: str) -> Order:
        """Cancel a confirmed or paid order; its stock returns, and its money. Raises NotFound, WrongState."""
        order = self._move(order_id, (CONFIRMED, PAID), CANCELLED, owner=owner, caller=caller)
        with suppress(Unavailable):  # the release of the order is due, so the worker repeats it
            self.products.release(order.id)
            self.store.mark_released(order.id)
        return order

    def ship(self, order_id: str, tracking: Tracking | None) -> Order:
        """Mark an order as shipped, if it is paid where it must be. Raises NotFound, PaymentRequired, WrongState."""
        return self._move(order_id, (CONFIRMED, PAID), SHIPPED, tracking=tracking)

    def deliver(self, order_id: str) -> Order:
        """Mark a shipped order as delivered. Raises NotFound, WrongState."""
        return self._move(order_id, (SHIPPED,), DELIVERED)

    def _move(
        self,
        order_id: str,
        starts: tuple[str, ...],
        end: str,
        *,
        owner: str | None = None,
        caller: str | None = None,
        tracking: Tracking | None = None,
    ) -> Order:
        """Move an order from one of the statuses `starts`; a `caller` who is the buyer acts as customer.

        A move that loses a race begins again with the order as it is now.
        """
        for _ in range(MAX_RACES):
            order = self.get(order_id, owner)
            if order.status not in starts or self._must_be_paid_before(end, order):
                break
            by = CUSTOMER if caller and order.buyer and order.buyer.id == caller else ADMIN
            now, reason = self.clock(), by if end == CANCELLED else None
            moved = replace(order, tracking=tracking or order.tracking)
            event = events.order_event(EVENT_TYPES[end], moved, now, reason=reason)
            changed = self.store.transition(order.id, Transition(order.status, end, by, now, event, tracking))
            if changed is not None:
                return changed
        raise self._wrong_state(order, starts, end)

    def _must_be_paid_before(self, end: str, order: Order) -> bool:
        """Return whether an order must be paid before this status. One that costs nothing need not be."""
        return (order.status, end) == (CONFIRMED, SHIPPED) and self.terms.is_required and bool(order.total)

    def _wrong_state(self, order: Order, starts: tuple[str, ...], end: str) -> Conflict:
        if self._must_be_paid_before(end, order):
            return PaymentRequired("The order is not paid. An order is shipped once it is paid.")
        if order.payment and order.payment.status in OPEN_PAYMENT and order.status in starts:
            return WrongState("A payment of the order is under way. Try again when it has ended.")
        return WrongState(f"The order is {order.status}. Only a {' or '.join(starts)} order can be {end}.")
