"""The use cases around orders. An order's document is the log of what happens to it: state first, effects second."""

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.errors import Conflict, NotFound, Unavailable
from chassis.paging import Page
from order_service import events
from order_service.model import CANCELLED, CONFIRMED, DELIVERED, SHIPPED, Buyer, Item, Order, summed
from order_service.placing import Placement

if TYPE_CHECKING:
    from order_service.product_client import ProductClient
    from order_service.store import OrderStore


class WrongState(Conflict):
    """The order is in a state that does not allow this."""

    code, title = "wrong-state", "Wrong State"


class Orders:
    """Placing, reading and moving orders on."""

    def __init__(self, store: "OrderStore", products: "ProductClient", clock: Callable[[], datetime]) -> None:
        self._store = store
        self._products = products
        self._clock = clock

    def place(self, buyer: Buyer, items: Iterable[Item], key: str | None) -> tuple[Order, bool]:
        """Place an order; return it, and whether it is the answer to an earlier request with the same key.

        Raises OrderRejected, OrderFailed, KeyReused, Unavailable.
        """
        self._store.check_after_failure()
        return Placement(self._store, self._products, self._clock, buyer, summed(items), key).run()

    def get(self, order_id: str, owner: str | None) -> Order:
        """Return an order, only if it belongs to `owner` where one is given. Raises NotFound."""
        order = self._store.read(order_id)
        if order is None or owner not in (None, order.user and order.user.id):
            raise NotFound(f"There is no order {order_id!r}.")
        return order

    def page(self, owner: str | None, status: str | None, *, limit: int, cursor: str | None) -> Page[Order]:
        """Return a page of orders, newest first: those of `owner`, or of everybody.

        Failed ones are the platform's own notes: only `status` shows them, and never to an owner.
        """
        return self._store.page(owner, status, limit=limit, cursor=cursor)

    def cancel(self, order_id: str, owner: str | None) -> Order:
        """Cancel a confirmed order; its stock returns. Raises NotFound, WrongState."""
        order = self._advance(order_id, owner, CONFIRMED, CANCELLED, events.ORDER_CANCELLED)
        try:
            self._products.release(order.id)
            self._store.released(order.id)
        except Unavailable:
            pass  # the worker does it: the order's document says that it is due
        return order

    def ship(self, order_id: str) -> Order:
        """Mark a confirmed order as shipped. Raises NotFound, WrongState."""
        return self._advance(order_id, None, CONFIRMED, SHIPPED, events.ORDER_SHIPPED)

    def deliver(self, order_id: str) -> Order:
        """Mark a shipped order as delivered. Raises NotFound, WrongState."""
        return self._advance(order_id, None, SHIPPED, DELIVERED, events.ORDER_DELIVERED)

    def _advance(self, order_id: str, owner: str | None, start: str, end: str, kind: str) -> Order:
        order = self.get(order_id, owner)
        if order.status == start:  # what the event says of an order does not change from here on
            now = self._clock()
            event, write_id = events.order_event(kind, order, now), uuid.uuid4().hex
            moved = self._store.advance(order.id, start, end, event, now, write_id, release=end == CANCELLED)
            if moved is not None:
                return moved
            order = self.get(order_id, owner)
        raise WrongState(f"The order is {order.status}; only a {start} one can be {end}.")
