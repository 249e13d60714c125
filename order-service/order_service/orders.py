"""The use cases of orders. An order's document is its log: first the state is written, then the effects follow."""

import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, NotFound, Unavailable
from chassis.paging import Page
from order_service import events
from order_service.model import CANCELLED, CONFIRMED, DELIVERED, SHIPPED, Buyer, Item, Order, merge_items
from order_service.placing import Placement

if TYPE_CHECKING:
    from order_service.product_client import ProductClient
    from order_service.store import OrderStore


class WrongState(Conflict):
    """The order's status does not allow this."""

    code, title = "wrong-state", "Wrong State"


@dataclass(frozen=True)
class Orders:
    """Places orders, reads them, and moves them from status to status."""

    store: "OrderStore"
    products: "ProductClient"
    clock: Callable[[], datetime]

    def place(self, buyer: Buyer, items: Iterable[Item], key: str | None) -> tuple[Order, bool]:
        """Place an order; return it, and whether it answers an earlier request with the same key.

        Raises InsufficientStock, UnknownProduct, OrderFailed, KeyReused, Unavailable.
        """
        self.store.check_after_failure()
        return Placement(self.store, self.products, self.clock, buyer, merge_items(items), key).run()

    def get(self, order_id: str, owner: str | None) -> Order:
        """Return an order, if it belongs to `owner` or `owner` is None. Raises NotFound."""
        order = self.store.find(order_id)
        if order is None or owner not in (None, order.user and order.user.id):
            raise NotFound(f"There is no order {order_id!r}.")
        return order

    def list_orders(self, owner: str | None, status: str | None, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first: those of `owner`, or everybody's if it is None.

        Failed orders are the platform's own notes: only a filter by `status` lists them, and never for an owner.
        """
        return self.store.list_orders(owner, status, limit=limit, cursor=cursor)

    def cancel(self, order_id: str, owner: str | None) -> Order:
        """Cancel a confirmed order; its stock returns. Raises NotFound, WrongState."""
        order = self._transition(order_id, owner, CONFIRMED, CANCELLED, events.ORDER_CANCELLED)
        with suppress(Unavailable):  # the release of the order is due, so the worker repeats it
            self.products.release(order.id)
            self.store.mark_released(order.id)
        return order

    def ship(self, order_id: str) -> Order:
        """Mark a confirmed order as shipped. Raises NotFound, WrongState."""
        return self._transition(order_id, None, CONFIRMED, SHIPPED, events.ORDER_SHIPPED)

    def deliver(self, order_id: str) -> Order:
        """Mark a shipped order as delivered. Raises NotFound, WrongState."""
        return self._transition(order_id, None, SHIPPED, DELIVERED, events.ORDER_DELIVERED)

    def _transition(self, order_id: str, owner: str | None, start: str, end: str, event_type: str) -> Order:
        order = self.get(order_id, owner)
        if order.status == start:  # the event has the order's lines and total: they never change
            now, write_id = self.clock(), uuid.uuid4().hex
            event = events.order_event(event_type, order, now)
            changed = self.store.transition(order.id, start, end, event, now, write_id, release=end == CANCELLED)
            if changed is not None:
                return changed
            order = self.get(order_id, owner)
        raise WrongState(f"The order is {order.status}. Only a {start} order can be {end}.")
