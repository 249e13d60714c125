"""What must hold in every state: one function each; its docstring names the promise of docs/architecture.md.

To add one, write it as a method of `Invariants` whose name says what holds.
"""

from tests.model.rules import Rule
from tests.model.saga import Saga
from tests.model.state import AHEAD, BEHIND, CANCELLED, CONFIRMED, FAILED, HELD, REJECTED, Order, Request, State


def stands(order: Order | None) -> bool:
    """Return if an order was confirmed, also if it has been cancelled since."""
    return order is not None and order.status in (CONFIRMED, CANCELLED)


class Invariants:
    """The invariants of one saga."""

    def __init__(self, saga: Saga, only: str = "") -> None:
        self._saga = saga
        self._checks = [check for name, check in CHECKS.items() if name == only or not only]
        self._repeats: dict[tuple[object, ...], tuple[int, int]] = {}

    def violated(self, state: State) -> str:
        """Return the name of the first invariant that does not hold, or nothing."""
        return next((check.__name__ for check in self._checks if not check(self, state)), "")

    def stock_adds_up_and_is_never_oversold(self, state: State) -> bool:
        """Promise 1, no oversell."""
        quantities, initial = self._saga.quantities, self._saga.stock
        held = sum(quantities[r.lines] for r in state.reservations if r and r.state == HELD)
        living = sum(quantities[o.body % 2] for o in state.orders if o and o.status == CONFIRMED)
        return state.stock >= 0 and state.stock + held == initial and living <= initial

    def a_living_order_holds_exactly_its_stock(self, state: State) -> bool:
        """Promise 2, no lost order."""
        pairs = zip(state.orders, state.reservations, strict=True)
        living = ((o, r) for o, r in pairs if o and o.status == CONFIRMED)
        return all(r and r.state == HELD and r.lines == o.body % 2 for o, r in living)

    def what_a_customer_was_told_is_true(self, state: State) -> bool:
        """Promise 2, no lost order: a customer who was told 201 has that order, and 409 stays 409."""
        for i, body, reply in state.told:
            order = state.orders[i]
            if not order or order.body != body or not (stands(order) if reply == 201 else order.status == REJECTED):
                return False
        return True

    def a_key_has_one_order(self, state: State) -> bool:
        """Promise 3, no double order."""
        return sum(bool(o and o.status != FAILED) for o in state.orders[: self._saga.attempts]) <= 1

    def a_repeat_is_answered_as_before(self, state: State) -> bool:
        """Promise 3: a repeat that is alone and meets no fault gets an answer, and the same as was told before."""
        keyed = state.orders[: self._saga.attempts]
        if all(order and order.status == FAILED for order in keyed):
            return True  # the model has no attempt left, the shop always has
        told = {body: (i, reply) for i, body, reply in state.told if i < self._saga.attempts}
        for body in set(self._saga.bodies):
            question = (state.stock, state.reservations, state.orders, body)
            if question not in self._repeats:
                self._repeats[question] = self._repeat(state, body)
            answer = self._repeats[question]
            if answer[1] == 503 or answer != told.get(body, answer):
                return False
        return True

    def _repeat(self, state: State, body: int) -> tuple[int, int]:
        """Return the order and the reply of a repeat: it takes the first, the faultless, of all its possible steps."""
        now: Request | None = Request(True, body, "reserve", 0)
        while now:
            order_id = now.order_id
            _, what, state, now = next(self._saga.request(state._replace(told=frozenset()), now))
        told = next(iter(state.told), (order_id, body, int(what.rpartition(" ")[2])))
        return told[0], told[2]

    def no_stock_is_stuck(self, state: State) -> bool:
        """Promise 4: at rest, with nothing due, no stock is held without a living order."""
        to_compare = (AHEAD,) if self._saga.without is Rule.STEP_BACK else (AHEAD, BEHIND)
        work_left = any(o and o.release_due for o in state.orders) or any(
            r and r.cursor in to_compare for r in state.reservations
        )
        if work_left or not self._saga.is_quiet(state):
            return True
        pairs = zip(state.orders, state.reservations, strict=True)
        return all(o and o.status == CONFIRMED for o, r in pairs if r and r.state == HELD)

    def what_was_released_stays_released(self, state: State) -> bool:
        """Promise 4: late messages take no stock for an order that has ended, until the tombstones expire."""
        ended = (
            r and r.state == HELD
            for o, r in zip(state.orders, state.reservations, strict=True)
            if o and o.status in (FAILED, CANCELLED) and not o.release_due
        )
        return self._saga.expires or not any(ended)

    def dead_attempts_take_no_stock_from_their_successor(self, state: State) -> bool:
        """Promise 4: a customer alone in the shop, where there is enough, is not refused."""
        return self._saga.other or not any(o and o.status == REJECTED for o in state.orders)

    def the_event_of_every_order_gets_published(self, state: State) -> bool:
        """Promise 2: it is in the outbox until the broker has it."""
        orders = enumerate(state.orders) if self._saga.publishes else ()
        return all(o.in_outbox or i in state.published for i, o in orders if o and stands(o))

    def only_orders_have_published_events(self, state: State) -> bool:
        """Promise 5: no customer is notified of an order that never stood."""
        return all(stands(state.orders[i]) for i in state.published)


CHECKS = {name: check for name, check in vars(Invariants).items() if name[0] != "_" and name != "violated"}
