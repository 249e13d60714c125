"""All that the saga of placing an order stores, has under way or remembers, and the small changes to it.

Order ids are numbers: 0, 1, ... are the attempts of one Idempotency-Key; the last is another customer's, without a key.
Bodies are numbers too: 0 and 2 have the same lines and differ in the rest, 1 has other lines.
"""

from typing import Any, NamedTuple, Never, TypeVar

HELD, REFUSED, RELEASED = "held", "refused", "released"
TAKEN, FOUND, DIFFERS, UNKNOWN = "taken", "found", "other lines", "unknown"  # PUT also answers REFUSED and RELEASED
AHEAD, BEHIND, PASSED = "ahead", "behind", "passed"
CONFIRMED, CANCELLED, REJECTED, FAILED = "confirmed", "cancelled", "rejected", "failed"
IDLE = "idle"
NONE: frozenset[Never] = frozenset()


class Reservation(NamedTuple):
    """What product-service has recorded under an order's id.

    The worker's cursor has it ahead, or has passed it, or it was committed behind the cursor and never compared.
    """

    state: str
    lines: int = 0
    cursor: str = ""


class Order(NamedTuple):
    """An order's document."""

    status: str
    body: int = 0
    release_due: bool = False
    in_outbox: bool = False


class Request(NamedTuple):
    """A handler of POST /orders, and what it knows: PUT's answer, what it must release, what it will reply."""

    has_key: bool
    body: int
    step: str
    order_id: int
    answer: str = ""
    releases: tuple[int, ...] = ()
    reply: int = 0


class Worker(NamedTuple):
    """A worker, and the order that it deals with."""

    step: str = IDLE
    order_id: int = -1


class State(NamedTuple):
    """All that is stored, under way or remembered."""

    stock: int
    reservations: tuple[Reservation | None, ...]
    orders: tuple[Order | None, ...]
    requests: tuple[Request, ...]
    workers: tuple[Worker, ...]
    messages: frozenset[tuple[str, int, int]] = NONE  # method, order id, lines: may be executed late, or again
    inserts: frozenset[tuple[int, Order]] = NONE  # inserts whose answer was lost, which may still take effect
    told: frozenset[tuple[int, int, int]] = NONE  # order id, body, and the 201 or 409 that a customer got
    published: frozenset[int] = NONE


Transition = tuple[str, str, State]  # action, what happens, and the state after it
Move = tuple[str, str, State, Request | None]  # the same, and what becomes of the request; None: it has ended
Work = tuple[str, str, State, Worker]
Item = TypeVar("Item")


def with_item(items: tuple[Item, ...], index: int, item: Item) -> tuple[Item, ...]:
    """Return the items with one of them replaced."""
    return (*items[:index], item, *items[index + 1 :])


def update(state: State, order_id: int, **changes: Any) -> State:
    """Change an order's document in one write."""
    order = state.orders[order_id]
    return state._replace(orders=with_item(state.orders, order_id, order and order._replace(**changes)))


def pass_by(state: State, order_id: int) -> State:
    """Move the cursor past a reservation, if it is still held."""
    found = state.reservations[order_id]
    passed = found._replace(cursor=PASSED) if found and found.state == HELD else found
    return state._replace(reservations=with_item(state.reservations, order_id, passed))


def send(state: State, method: str, order_id: int, lines: int = 0) -> State:
    """Leave a message under way: it may be executed late, again, or never."""
    return state._replace(messages=state.messages | {(method, order_id, lines)})


def write_later(state: State, order_id: int, order: Order) -> State:
    """Leave an insert under way: it may take effect late, or never."""
    return state._replace(inserts=state.inserts | {(order_id, order)})


def working(step: str, order_id: int) -> Worker:
    """Return a worker with its next step, which an idle one does not have."""
    return Worker() if step == IDLE else Worker(step, order_id)


def end(what: str, state: State, request: Request, reply: int) -> tuple[str, State, None]:
    """Reply, and remember a 201 or a 409: these are promises."""
    if reply in (201, 409):
        state = state._replace(told=state.told | {(request.order_id, request.body, reply)})
    return f"{what}, replies {reply}", state, None
